"""How does the training speed grow with the batch size, in cnncli and in PyTorch?

python benchmarks/batch_sizes.py
"""

from arena import arguments, compare, has_torch, layers_of, save, show, torch_jobs

BASELINE = "PyTorch eager"
SIZES = (32, 64, 128, 256, 512, 1024)


def main() -> None:
    """Measure, print, and write results/batch_sizes.json."""
    options = arguments(__doc__, rounds=5)
    tables = {}
    for batch in SIZES:
        job = {
            "what": "train",
            "model": layers_of("mnist.yaml"),
            "shape": (1, 28, 28),
            "batch": batch,
        }
        jobs = torch_jobs(job, ("eager",)) if has_torch() else {}
        jobs["cnncli"] = {**job, "side": "ours"}
        tables[str(batch)] = compare(jobs, options.rounds, BASELINE)
        show(f"training, 421,642 parameters, batch {batch}", tables[str(batch)], BASELINE)
    if not options.no_save:
        save("batch_sizes", {"rounds": options.rounds, "baseline": BASELINE, "tables": tables})


if __name__ == "__main__":
    main()

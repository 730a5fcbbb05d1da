"""How fast does the reference network train, compared with PyTorch in each of its modes?

python benchmarks/train_throughput.py
"""

from arena import arguments, compare, has_torch, layers_of, save, show, torch_jobs

BASELINE = "PyTorch eager"


def main() -> None:
    """Measure, print, and write results/train_throughput.json."""
    options = arguments(__doc__)
    job = {"what": "train", "model": layers_of("mnist.yaml"), "shape": (1, 28, 28), "batch": 128}
    jobs = torch_jobs(job) if has_torch() else {}
    jobs["cnncli"] = {**job, "side": "ours"}
    jobs["cnncli, threads"] = {**job, "side": "ours", "options": {"pool": "threads"}}
    jobs["cnncli, one worker"] = {**job, "side": "ours", "options": {"workers": 1}}
    table = compare(jobs, options.rounds, BASELINE)
    show("training, 421,642 parameters, batch 128, Adam", table, BASELINE)
    if not options.no_save:
        save("train_throughput", {"rounds": options.rounds, "baseline": BASELINE, "table": table})


if __name__ == "__main__":
    main()

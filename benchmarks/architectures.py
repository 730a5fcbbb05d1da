"""How fast do other networks train, compared with PyTorch: with BatchNorm, LeNet-5, with strided convolutions?

python benchmarks/architectures.py
"""

from arena import arguments, compare, has_torch, layers_of, save, show, torch_jobs

BASELINE = "PyTorch eager"
# the config -> its batch size
NETWORKS = {
    "vgg-small.yaml": 128,
    "lenet5.yaml": 64,
    "deotte.yaml": 64,
    "speedrun.yaml": 256,
}


def main() -> None:
    """Measure, print, and write results/architectures.json."""
    options = arguments(__doc__)
    tables = {}
    for config, batch in NETWORKS.items():
        job = {
            "what": "train",
            "model": layers_of(config),
            "shape": (1, 28, 28),
            "batch": batch,
        }
        jobs = torch_jobs(job, ("eager", "channels_last")) if has_torch() else {}
        jobs["cnncli"] = {**job, "side": "ours"}
        tables[config] = compare(jobs, options.rounds, BASELINE)
        show(f"training, {config}, batch {batch}, Adam", tables[config], BASELINE)
    if not options.no_save:
        save("architectures", {"rounds": options.rounds, "baseline": BASELINE, "tables": tables})


if __name__ == "__main__":
    main()

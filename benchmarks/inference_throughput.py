"""How fast does the reference network classify batches of 1,000, compared with PyTorch in each of its modes?

python benchmarks/inference_throughput.py
"""

from arena import arguments, compare, has_torch, layers_of, save, show, torch_jobs

BASELINE = "PyTorch eager"


def main() -> None:
    """Measure, print, and write results/inference_throughput.json."""
    options = arguments(__doc__)
    job = {"what": "infer", "model": layers_of("mnist.yaml"), "shape": (1, 28, 28), "batch": 1000}
    jobs = torch_jobs(job) if has_torch() else {}
    jobs["cnncli"] = {**job, "side": "ours", "options": {"inference": True}}
    jobs["cnncli, threads"] = {**job, "side": "ours", "options": {"pool": "threads", "inference": True}}
    table = compare(jobs, options.rounds, BASELINE)
    show("inference, 421,642 parameters, batches of 1,000", table, BASELINE)
    if not options.no_save:
        save("inference_throughput", {"rounds": options.rounds, "baseline": BASELINE, "table": table})


if __name__ == "__main__":
    main()

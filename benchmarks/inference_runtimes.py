"""How fast does the reference network answer batches of 1, 32 and 1,000 images, compared with inference runtimes?

python benchmarks/inference_runtimes.py

The runtimes run what `cnn export --to onnx` writes. OpenVINO computes in bfloat16 by default where the processor can,
so both of its precisions are measured.
"""

from arena import arguments, compare, layers_of, save, show

BASELINE = "onnxruntime"
BATCHES = (1, 32, 1000)


def main() -> None:
    """Measure, print, and write results/inference_runtimes.json."""
    options = arguments(__doc__)
    tables = {}
    for batch in BATCHES:
        job = {"what": "infer", "model": layers_of("mnist.yaml"), "shape": (1, 28, 28), "batch": batch}
        jobs = {
            "onnxruntime": {**job, "side": "onnxruntime"},
            "OpenVINO, f32": {**job, "side": "openvino", "precision": "f32"},
            "OpenVINO, bf16": {**job, "side": "openvino", "precision": "bf16"},
            "cnncli": {**job, "side": "ours", "options": {"inference": True}},
        }
        tables[str(batch)] = compare(jobs, options.rounds, BASELINE)
        show(f"inference, 421,642 parameters, batches of {batch}", tables[str(batch)], BASELINE)
    if not options.no_save:
        save("inference_runtimes", {"rounds": options.rounds, "baseline": BASELINE, "tables": tables})


if __name__ == "__main__":
    main()

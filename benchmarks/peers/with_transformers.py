"""Score with Hugging Face's pipeline on PyTorch: an EfficientNet-B0 of random weights.

Nothing is downloaded; only the speed means something.
"""

from typing import Any

from common import find, need, options, write

torch, transformers = need("torch"), need("transformers")


def b0(size: int) -> Any:
    """Return a pipeline with an untrained EfficientNet-B0."""
    config = transformers.EfficientNetConfig(
        image_size=size,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_dim=1280,
        dropout_rate=0.2,
        num_labels=2,
    )
    # Later versions have another name for the processor that needs no torchvision.
    name = "EfficientNetImageProcessorPil"
    processor = getattr(transformers, name, None) or transformers.EfficientNetImageProcessor
    return transformers.pipeline(
        "image-classification",
        model=transformers.EfficientNetForImageClassification(config).eval(),
        image_processor=processor(size={"height": size, "width": size}),
        device=torch.device("cpu"),
    )


def main() -> None:
    """Score a folder."""
    given = options(__doc__)
    files = find(given.folder)
    answers = b0(given.size)(list(map(str, files)))
    scores = [{each["label"]: each["score"] for each in answer} for answer in answers]
    write(given.output, files, [score["LABEL_1"] for score in scores])


if __name__ == "__main__":
    main()

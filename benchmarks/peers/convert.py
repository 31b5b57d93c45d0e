"""Write a run's Keras network as tf2onnx converts it: uint8 (N, S, S, 3) `images` to a logit.

    python benchmarks/peers/convert.py RUN/last.keras SIZE OUTPUT.onnx

`maskspot export` starts from the same graph; its rewrites are left out.
"""

import os
import sys
from pathlib import Path

from common import need

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf, keras, tf2onnx = need("tensorflow"), need("keras"), need("tf2onnx")
need("efficientnet.tfkeras")  # registers EfficientNet's activation with Keras


def main() -> None:
    """Convert one file."""
    source, size, output = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    images = keras.Input((size, size, 3), dtype="uint8", name="images")
    logit = keras.saving.load_model(source)(keras.layers.Rescaling(1.0)(images))  # it casts
    signature = [tf.TensorSpec((None, size, size, 3), tf.uint8, name="images")]
    model, _ = tf2onnx.convert.from_keras(keras.Model(images, logit), signature, opset=17)
    output.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()

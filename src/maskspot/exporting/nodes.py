"""New nodes and constants of a graph."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Nodes:
    """New nodes and constants, whose names start with their purpose.

    Attributes:
        nodes: in the order in which they were added.
        constants: that they use.
    """

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node, and return its output's name."""
        name = output or f"{self._purpose}/{len(self.nodes)}-{operator}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, values: Any, dtype: Any) -> str:
        """Add a constant, and return its name."""
        name = f"{self._purpose}/constant-{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def append_to(self, graph: onnx.GraphProto) -> None:
        """Append them to a graph."""
        graph.node.extend(self.nodes)
        graph.initializer.extend(self.constants)

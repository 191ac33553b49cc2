// Puts an ONNX graph together a node at a time, so that the sublayers read as formulas.
import type { Attribute, DataType, Graph, Initializer, Node, Value } from "./proto.ts";

type Attributes = Readonly<Record<string, Attribute>>;
type Dims = readonly (number | string)[];

export interface GraphBuilder {
  /** Declares an input and returns its name. */
  input(name: string, dims: Dims, type?: DataType): string;
  /** Makes a node's result an output under a name of its own. */
  output(result: string, name: string, dims: Dims, type?: DataType): void;
  /** Adds a weight or constant and returns its name. */
  constant(data: Initializer["data"], dims: readonly number[], type: DataType): string;
  /** A constant of one fp32 number. */
  scalar(value: number): string;
  /** A constant vector of int64, as shapes and axes are given. */
  shape(...values: number[]): string;
  /** Adds a node of ONNX's own operators with one result, and returns its name. */
  op(op: string, inputs: readonly string[], attributes?: Attributes): string;
  /** The same for an operator of the `com.microsoft` domain. */
  contrib(op: string, inputs: readonly string[], attributes?: Attributes): string;
  /** Cuts a value in two along an axis: evenly, or in pieces of the given sizes. */
  split(x: string, axis: number, sizes?: readonly [number, number]): [string, string];
  build(): Graph;
}

export function createGraph(): GraphBuilder {
  const inputs: Value[] = [];
  const outputs: Value[] = [];
  const nodes: Node[] = [];
  const initializers: Initializer[] = [];
  const renamed = new Map<string, string>();
  let names = 0;
  const fresh = () => `t${names++}`;
  const one = (domain: string, op: string, from: readonly string[], attributes: Attributes = {}) => {
    const as = fresh();
    nodes.push({ op, domain, inputs: from, outputs: [as], attributes });
    return as;
  };
  const constant: GraphBuilder["constant"] = (data, dims, type) => {
    const name = fresh();
    initializers.push({ name, type, dims, data });
    return name;
  };
  const shape: GraphBuilder["shape"] = (...values) =>
    constant(BigInt64Array.from(values, BigInt), [values.length], "int64");
  return {
    input(name, dims, type = "float32") {
      inputs.push({ name, type, dims });
      return name;
    },
    output(result, name, dims, type = "float32") {
      outputs.push({ name, type, dims });
      renamed.set(result, name);
    },
    constant,
    scalar: (value) => constant(Float32Array.of(value), [], "float32"),
    shape,
    op: (op, from, attributes) => one("", op, from, attributes),
    contrib: (op, from, attributes) => one("com.microsoft", op, from, attributes),
    split(x, axis, sizes) {
      const outputs: [string, string] = [fresh(), fresh()];
      const inputs = sizes ? [x, shape(...sizes)] : [x];
      nodes.push({ op: "Split", domain: "", inputs, outputs, attributes: sizes ? { axis } : { axis, num_outputs: 2 } });
      return outputs;
    },
    build() {
      const nameOf = (name: string): string => renamed.get(name) ?? name;
      const named = nodes.map((node) => ({
        ...node,
        inputs: node.inputs.map(nameOf),
        outputs: node.outputs.map(nameOf),
      }));
      return { inputs, outputs, nodes: named, initializers };
    },
  };
}

// Writes ONNX models as protobuf. A writer of our own, because libraries for it carry every message of the format, build their
// encoders with eval (which Workers forbid) or copy each weight into the model; here weights stay outside, as external data.

/** TensorProto.DataType of the types used here. */
export const DATA_TYPE = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float64: 11 } as const;
export type DataType = keyof typeof DATA_TYPE;

type Values = Float32Array | Uint8Array | Int8Array | Int32Array | BigInt64Array;

/** A constant. `data` is row-major in `dims`. */
export interface Initializer {
  readonly name: string;
  readonly type: DataType;
  readonly dims: readonly number[];
  readonly data: Values;
}

export type Attribute = number | string | readonly number[] | { readonly float: number };

export interface Node {
  readonly op: string;
  /** Empty is ONNX's own operators. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Whole numbers become ints; a float is given as `{ float }`. */
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A graph's input or output; a dimension is a size or a symbol. */
export interface Value {
  readonly name: string;
  readonly type: DataType;
  readonly dims: readonly (number | string)[];
}

export interface Graph {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly Node[];
  readonly initializers: readonly Initializer[];
}

export interface EncodedModel {
  readonly model: Uint8Array;
  /** What the model's larger initializers point to, to be mounted as `EXTERNAL_FILE`; undefined when there are none. */
  readonly external: Uint8Array | undefined;
}

export const EXTERNAL_FILE = "weights";
const IR_VERSION = 10;
const OPSET = 21;
const CONTRIB_OPSET = 1;
const EXTERNAL_BYTES = 1024;
const EXTERNAL_ALIGN = 64;

const ATTRIBUTE_FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_STRING = 3;
const ATTRIBUTE_INTS = 7;

/** Chunks of an encoded message; field numbers below are those of onnx.proto. */
type Message = Uint8Array[];

const text = new TextEncoder();

function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest ? low | 0x80 : low);
  } while (rest);
  return Uint8Array.from(bytes);
}

const int = (field: number, value: number): Message => [varint(field << 3), varint(value)];

const bytes = (field: number, data: Uint8Array): Message => [varint((field << 3) | 2), varint(data.length), data];

const string = (field: number, value: string): Message => bytes(field, text.encode(value));

const message = (field: number, content: Message): Message => {
  const length = content.reduce((sum, chunk) => sum + chunk.length, 0);
  return [varint((field << 3) | 2), varint(length), ...content];
};

const float = (field: number, value: number): Message => [
  varint((field << 3) | 5),
  new Uint8Array(Float32Array.of(value).buffer),
];

const joined = (chunks: Message): Uint8Array => {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
};

function attribute(name: string, value: Attribute): Message {
  const named = string(1, name);
  if (typeof value === "number") return [...named, ...int(3, value), ...int(20, ATTRIBUTE_INT)];
  if (typeof value === "string") return [...named, ...string(4, value), ...int(20, ATTRIBUTE_STRING)];
  if ("float" in value) return [...named, ...float(2, value.float), ...int(20, ATTRIBUTE_FLOAT)];
  return [...named, ...value.flatMap((item) => int(8, item)), ...int(20, ATTRIBUTE_INTS)];
}

const node = ({ op, domain, inputs, outputs, attributes }: Node): Message => [
  ...inputs.flatMap((name) => string(1, name)),
  ...outputs.flatMap((name) => string(2, name)),
  ...string(4, op),
  ...Object.entries(attributes).flatMap(([name, value]) => message(5, attribute(name, value))),
  ...string(7, domain),
];

const value = ({ name, type, dims }: Value): Message => {
  const shape = dims.flatMap((dim) => message(1, typeof dim === "number" ? int(1, dim) : string(2, dim)));
  const tensor = [...int(1, DATA_TYPE[type]), ...message(2, shape)];
  return [...string(1, name), ...message(2, message(1, tensor))];
};

const entry = (key: string, text: string): Message => message(13, [...string(1, key), ...string(2, text)]);

/**
 * Encodes a graph as a ModelProto.
 * @param externalFrom bytes from which on an initializer lies outside the model; `Infinity` makes a model of one piece
 */
export function encodeModel(graph: Graph, externalFrom = EXTERNAL_BYTES): EncodedModel {
  const files: { data: Uint8Array; offset: number }[] = [];
  let externalBytes = 0;
  const tensor = ({ name, type, dims, data }: Initializer): Message => {
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const head = [...dims.flatMap((dim) => int(1, dim)), ...int(2, DATA_TYPE[type]), ...string(8, name)];
    if (raw.length < externalFrom) return [...head, ...bytes(9, raw)];
    const offset = externalBytes;
    files.push({ data: raw, offset });
    externalBytes = Math.ceil((offset + raw.length) / EXTERNAL_ALIGN) * EXTERNAL_ALIGN;
    const place = { location: EXTERNAL_FILE, offset: String(offset), length: String(raw.length) };
    return [...head, ...Object.entries(place).flatMap(([key, text]) => entry(key, text)), ...int(14, 1)];
  };
  const body = [
    ...graph.nodes.flatMap((item) => message(1, node(item))),
    ...string(2, "graph"),
    ...graph.initializers.flatMap((item) => message(5, tensor(item))),
    ...graph.inputs.flatMap((item) => message(11, value(item))),
    ...graph.outputs.flatMap((item) => message(12, value(item))),
  ];
  const opset = (domain: string, version: number) => message(8, [...string(1, domain), ...int(2, version)]);
  const model = [
    ...int(1, IR_VERSION),
    ...message(7, body),
    ...opset("", OPSET),
    ...opset("com.microsoft", CONTRIB_OPSET),
  ];
  const [only] = files;
  let external: Uint8Array | undefined;
  if (files.length === 1) external = only?.data;
  else if (files.length > 1) {
    external = new Uint8Array(externalBytes);
    for (const { data, offset } of files) external.set(data, offset);
  }
  return { model: joined(model), external };
}

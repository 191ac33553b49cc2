// Products of dense fp64 matrices, row-major, in onnxruntime: it has the kernels that JavaScript can't have.
import { createGraph } from "../../src/engine/onnx/graph.ts";
import { doubles, openSession, type Session } from "../forward/session.ts";

export interface Dense {
  readonly rows: number;
  readonly cols: number;
  /** `[rows, cols]` */
  readonly values: Float64Array;
}

export interface ProductOptions {
  /** Which of the factors is transposed first. Default: none. */
  readonly transposed?: "a" | "b" | undefined;
  /** Added to the product; of its shape. */
  readonly plus?: Float64Array | undefined;
}

const sessions = new Map<string, Promise<Session>>();

function sessionOf({ transposed, plus }: ProductOptions): Promise<Session> {
  const key = `${transposed} ${plus !== undefined}`;
  const known = sessions.get(key);
  if (known) return known;
  const graph = createGraph();
  const of = (name: string) => graph.input(name, [`${name} rows`, `${name} cols`], "float64");
  const inputs = plus ? [of("a"), of("b"), of("plus")] : [of("a"), of("b")];
  const product = graph.op("Gemm", inputs, { transA: Number(transposed === "a"), transB: Number(transposed === "b") });
  graph.output(product, "product", ["rows", "cols"], "float64");
  const session = openSession(graph.build());
  sessions.set(key, session);
  return session;
}

/** a b */
export async function multiply(a: Dense, b: Dense, options: ProductOptions = {}): Promise<Dense> {
  const { transposed, plus } = options;
  const session = await sessionOf(options);
  const rows = transposed === "a" ? a.cols : a.rows;
  const cols = transposed === "b" ? b.rows : b.cols;
  const tensor = ({ values, ...shape }: Dense) => doubles(values, shape.rows, shape.cols);
  const extra = plus ? { plus: doubles(plus, rows, cols) } : {};
  const { product } = await session.run({ a: tensor(a), b: tensor(b), ...extra });
  return { rows, cols, values: product?.data as Float64Array };
}

/** A copy of some rows and columns. */
export function partOf({ cols, values }: Dense, top: number, bottom: number, left: number, right: number): Dense {
  const width = right - left;
  const part = new Float64Array((bottom - top) * width);
  for (let row = top; row < bottom; row++) {
    part.set(values.subarray(row * cols + left, row * cols + right), (row - top) * width);
  }
  return { rows: bottom - top, cols: width, values: part };
}

export function transposed({ rows, cols, values }: Dense): Dense {
  const out = new Float64Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) out[col * rows + row] = values[row * cols + col] as number;
  }
  return { rows: cols, cols: rows, values: out };
}

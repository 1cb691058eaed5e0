// A forward pass in this tab: onnxruntime-web, WebAssembly, one thread.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

const RUNTIME = "runtime/ort-wasm-simd-threaded.wasm.gz";

// More threads would need headers that a static page cannot set.
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} is missing from this page (${answer.status}).`);
  return answer;
}

/** The runtime's bytes; some servers unpack .gz on the way, so the first bytes decide. */
async function unpacked(address) {
  const bytes = await (await fetched(address)).arrayBuffer();
  const [first, second] = new Uint8Array(bytes, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// Asked for at once, beside everything else; a failure shows where a model is opened, and the next
// model that is opened tries again.
let runtime = null;
function ready() {
  runtime ??= unpacked(RUNTIME).then((bytes) => {
    ort.env.wasm.wasmBinary = bytes;
  });
  runtime.catch(() => {
    runtime = null;
  });
  return runtime;
}
ready();
let turn = Promise.resolve(); // passes run one after the other

/** A model, ready to answer. */
export class Network {
  /** Fetch the runtime, once, and the model. */
  static async open(model) {
    const [bytes] = await Promise.all([
      fetched(model.file).then((answer) => answer.arrayBuffer()),
      ready(),
    ]);
    try {
      const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
      return new Network(model, session);
    } catch (error) {
      const cause = globalThis.WebAssembly
        ? `${model.file} cannot be opened; it may be damaged`
        : "this browser has no WebAssembly";
      throw new Error(`${cause} (${error.message}).`);
    }
  }

  constructor(model, session) {
    this.model = model;
    this.session = session;
  }

  /**
   * Planes (3, size, size) in [0, 1] to { logits, maps, milliseconds }.
   *
   * Where nobody waits for the answer any more once its turn has come, there is no pass, and null.
   */
  answer(planes, wanted = () => true) {
    const pass = turn.then(() => (wanted() ? this.#pass(planes) : null));
    turn = pass.catch(() => {});
    return pass;
  }

  async #pass(planes) {
    const { size } = this.model;
    const started = performance.now();
    const images = new ort.Tensor("float32", planes, [1, 3, size, size]);
    const outputs = await this.session.run({ images });
    const [, classes, height, width] = outputs.maps.dims;
    const values = Float64Array.from(outputs.maps.data);
    const maps = Array.from({ length: classes }, (_, c) => ({
      height,
      width,
      values: values.slice(c * height * width, (c + 1) * height * width),
    }));
    const logits = Array.from(outputs.logits.data);
    return { logits, maps, milliseconds: performance.now() - started };
  }
}

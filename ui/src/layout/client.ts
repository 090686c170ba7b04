// Asks the worker for a layout. A newer request makes an older one void; when the worker fails the simple
// layout is computed here, so that there is always a graph.
import { layeredLayout } from "./layered";
import type { Algorithm, LayoutInput, LayoutOutput } from "./types";
import type { LayoutReply, LayoutRequest } from "./worker";

export class LayoutClient {
  private worker: Worker | undefined;
  private latest = 0;
  private waiting: ((reply: LayoutReply) => void) | undefined;

  /** Loads the worker before it is needed. */
  warm(): void {
    this.start();
  }

  /** Out: undefined when another request came after this one. */
  async run(algorithm: Algorithm, input: LayoutInput): Promise<LayoutOutput | undefined> {
    this.latest += 1;
    const id = this.latest;
    const reply = await this.ask({ id, algorithm, input });
    if (id !== this.latest) return undefined;
    return "output" in reply ? reply.output : layeredLayout(input);
  }

  close(): void {
    this.latest += 1;
    this.worker?.terminate();
    this.worker = undefined;
  }

  private ask(request: LayoutRequest): Promise<LayoutReply> {
    // The one before is void: its caller is told so, and its worker need not finish.
    if (this.waiting) {
      this.waiting({ id: request.id - 1, error: "superseded" });
      this.worker?.terminate();
      this.worker = undefined;
    }
    const worker = this.start();
    return new Promise((resolve) => {
      const settle = (reply: LayoutReply) => {
        if (this.waiting === settle) this.waiting = undefined;
        resolve(reply);
      };
      this.waiting = settle;
      worker.onmessage = (event: MessageEvent<LayoutReply>) => settle(event.data);
      worker.onerror = (event) => settle({ id: request.id, error: event.message });
      worker.postMessage(request);
    });
  }

  private start(): Worker {
    this.worker ??= new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    return this.worker;
  }
}

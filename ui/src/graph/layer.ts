// A canvas above the graph that takes no part in pointing. In: the element to cover. Out: a context in CSS pixels.

export class Layer {
  readonly context: CanvasRenderingContext2D;
  width = 0;
  height = 0;
  private readonly canvas = document.createElement("canvas");
  private readonly observer: ResizeObserver;

  constructor(host: HTMLElement, name: string, resized: () => void) {
    this.canvas.className = `layer layer-${name}`;
    this.canvas.setAttribute("aria-hidden", "true");
    host.append(this.canvas);
    this.context = this.canvas.getContext("2d")!;
    this.observer = new ResizeObserver(() => {
      this.fit(host);
      resized();
    });
    this.observer.observe(host);
    this.fit(host);
  }

  clear(): void {
    this.context.clearRect(0, 0, this.width, this.height);
  }

  remove(): void {
    this.observer.disconnect();
    this.canvas.remove();
  }

  private fit(host: HTMLElement): void {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    this.width = host.clientWidth;
    this.height = host.clientHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }
}

/** The points of a training's learning curves: read from the page's table, added to by its socket. */

export interface Point {
  step: number;
  loss: number | null;
  held_out_loss: number | null;
  learning_rate: number | null;
}

export type Figure = Exclude<keyof Point, "step">;

/** Columns over the steps, in the order of the figures. */
export type Columns = [number[], ...(number | null)[][]];

/** Points by step; a later one of the same step takes the place of the earlier. */
export class Curve {
  private readonly points = new Map<number, Point>();

  add(points: Iterable<Point>): void {
    for (const point of points) this.points.set(point.step, point);
  }

  /** What was seen was of an attempt that is lost. */
  clear(): void {
    this.points.clear();
  }

  get isEmpty(): boolean {
    return this.points.size === 0;
  }

  /** Whether the figure was measured anywhere. */
  has(figure: Figure): boolean {
    return [...this.points.values()].some((point) => point[figure] !== null);
  }

  columns(figures: readonly Figure[]): Columns {
    const inOrder = [...this.points.values()].sort((a, b) => a.step - b.step);
    return [
      inOrder.map(({ step }) => step),
      ...figures.map((figure) => inOrder.map((point) => point[figure])),
    ];
  }
}

/** The points that the table of the page holds. */
export function readPoints(table: HTMLTableElement | null): Point[] {
  return [...(table?.tBodies[0]?.rows ?? [])].map((row) => {
    const [loss, heldOutLoss, learningRate] = [1, 2, 3].map((column) => {
      const value = row.cells[column]?.querySelector("data")?.value;
      return value === undefined ? null : Number(value);
    });
    return {
      step: Number(row.cells[0]?.textContent),
      loss: loss ?? null,
      held_out_loss: heldOutLoss ?? null,
      learning_rate: learningRate ?? null,
    };
  });
}

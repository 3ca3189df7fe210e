import { describe, expect, it } from "vitest";

import { Curve, readPoints, type Point } from "../src/dashboard/curves";

function point(step: number, loss: number | null, heldOut: number | null = null): Point {
  return { step, loss, held_out_loss: heldOut, learning_rate: null };
}

describe("a learning curve", () => {
  it("stands in the order of its steps, however its points come", () => {
    const curve = new Curve();
    curve.add([point(8, 0.5), point(2, 1.5)]);
    curve.add([point(4, 1, 1.1)]);
    expect(curve.columns(["loss", "held_out_loss"])).toEqual([
      [2, 4, 8],
      [1.5, 1, 0.5],
      [null, 1.1, null],
    ]);
  });

  it("takes a step once, as it was measured last", () => {
    const curve = new Curve();
    curve.add([point(2, 1.5)]);
    curve.add([point(2, 1.4)]);
    expect(curve.columns(["loss"])).toEqual([[2], [1.4]]);
  });

  it("knows which figures were measured anywhere", () => {
    const curve = new Curve();
    curve.add([point(2, 1.5), point(4, null, 1.2)]);
    expect([curve.has("loss"), curve.has("held_out_loss"), curve.has("learning_rate")]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it("is empty again once its attempt is lost", () => {
    const curve = new Curve();
    curve.add([point(2, 1.5)]);
    curve.clear();
    expect(curve.isEmpty).toBe(true);
  });
});

describe("the page's table", () => {
  it("gives the points it holds, null where nothing was measured", () => {
    document.body.innerHTML = `<table><tbody>
      <tr><th>4</th><td><data value="1.25">1.250</data></td><td>–</td><td><data value="0.0001">1.00e-04</data></td></tr>
    </tbody></table>`;
    expect(readPoints(document.querySelector("table"))).toEqual([
      { step: 4, loss: 1.25, held_out_loss: null, learning_rate: 0.0001 },
    ]);
  });

  it("may be missing", () => {
    expect(readPoints(null)).toEqual([]);
  });
});

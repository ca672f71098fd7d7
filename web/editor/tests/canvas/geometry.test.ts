import fc from "fast-check";
import { expect, test } from "vitest";
import { HEADER, hit, LEAST_GROWING, type Parts, ROW, shapeOf } from "@/canvas/geometry";

const parts: fc.Arbitrary<Parts> = fc.record({
  size: fc.tuple(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 0, max: 900 })),
  isCollapsed: fc.constant(false),
  inputs: fc.uniqueArray(
    fc.string({ minLength: 1 }).map((name) => `i${name}`),
    { maxLength: 8 },
  ),
  outputs: fc.nat(8),
  widgets: fc.uniqueArray(
    fc.record({
      name: fc.string({ minLength: 1 }).map((name) => `w${name}`),
      height: fc.oneof(fc.integer({ min: 20, max: 90 }), fc.constant("grow" as const)),
      hasControl: fc.boolean(),
    }),
    { maxLength: 8, selector: (widget) => widget.name },
  ),
});

test("no widget lies over another, over a row of sockets or over the end of its node", () => {
  fc.assert(
    fc.property(parts, (given) => {
      const { widgets, height } = shapeOf(given);
      let end = HEADER + ROW * Math.max(given.inputs.length, given.outputs);
      for (const widget of widgets) {
        expect(widget.top).toBeGreaterThanOrEqual(end);
        end = widget.top + widget.height;
      }
      expect(height).toBeGreaterThanOrEqual(end - 0.001);
    }),
  );
});

test("every input and output has a place, of a collapsed node in its header", () => {
  fc.assert(
    fc.property(parts, fc.boolean(), (given, isCollapsed) => {
      const shape = shapeOf({ ...given, isCollapsed });
      expect(shape.outputs).toHaveLength(given.outputs);
      expect([...shape.inputs.keys()]).toEqual([...given.inputs, ...given.widgets.map((widget) => widget.name)]);
      if (isCollapsed) expect([shape.height, ...shape.outputs].every((value) => value <= HEADER)).toBe(true);
    }),
  );
});

test("a widget that grows gets what its node has left, and the least it needs of a small one", () => {
  const text = { name: "text", height: "grow" as const, hasControl: false };
  const given = { isCollapsed: false, inputs: ["clip"], outputs: 1, widgets: [text] };
  expect(shapeOf({ ...given, size: [200, 10] }).widgets[0]?.height).toBe(LEAST_GROWING);
  const tall = shapeOf({ ...given, size: [200, 400] });
  expect(tall.height).toBe(400 + HEADER);
  expect(tall.widgets[0]?.height).toBeGreaterThan(300);
});

test("of boxes that lie over each other, the last is hit", () => {
  const box = { x: 0, y: 0, width: 10, height: 10 };
  expect(
    hit(
      [
        { ...box, id: 1 },
        { ...box, id: 2 },
      ],
      [5, 5],
    )?.id,
  ).toBe(2);
  expect(hit([box], [11, 5])).toBeUndefined();
});

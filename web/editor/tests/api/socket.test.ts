// @vitest-environment happy-dom
import fc from "fast-check";
import { expect, it } from "vitest";
import { readMessage, readPreview } from "@/api/socket";

function frame(kind: number, facts: string, picture: readonly number[]): ArrayBuffer {
  const text = new TextEncoder().encode(facts);
  const bytes = new Uint8Array(8 + text.length + picture.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, kind);
  view.setUint32(4, text.length);
  bytes.set(text, 8);
  bytes.set(picture, 8 + text.length);
  return bytes.buffer;
}

it("A preview says whose it is, and has the picture alone", async () => {
  const facts = '{"prompt_id":"j","node_id":"1.0.2","display_node_id":"1","image_type":"image/jpeg"}';
  const found = readPreview(frame(4, facts, [1, 2, 3]));
  expect(found).toMatchObject({ job: "j", node: "1" });
  expect(found?.picture.type).toBe("image/jpeg");
  expect([...new Uint8Array((await found?.picture.arrayBuffer()) ?? [])]).toEqual([1, 2, 3]);
});

it("Frames of other kinds, and broken ones, are passed over", () => {
  expect(readPreview(frame(1, "{}", []))).toBeUndefined();
  expect(readPreview(frame(4, "no JSON", [1]))).toBeUndefined();
  const long = frame(4, "{}", []);
  new DataView(long).setUint32(4, 2 ** 31);
  expect(readPreview(long)).toBeUndefined();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => void readPreview(bytes.slice().buffer)));
});

it("What is no message is passed over", () => {
  expect(readMessage('{"type":"status","data":{}}')).toEqual({ type: "status", data: {} });
  for (const text of ["", "null", "3", "[]", '{"type":3,"data":{}}', '{"type":"a"}', '{"type":"a","data":null}'])
    expect(readMessage(text)).toBeUndefined();
});

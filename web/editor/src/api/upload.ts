// Files for nodes to load.
import { parseJson } from "@/document/json";
import type { Picture } from "@/store/runs";
import { address, send } from "./client";
import type { Uploaded } from "./types.gen";

/** Put a file among the inputs. Where another of its name lies, it gets a number: the answer says where it lies. */
export async function upload(file: Blob, name: string, subfolder = ""): Promise<Picture> {
  const form = new FormData();
  form.set("subfolder", subfolder);
  form.set("image", file, name);
  const response = await send(address("/upload/image"), { method: "POST", body: form });
  const found = parseJson(await response.text()) as unknown as Uploaded;
  return { filename: found.name, subfolder: found.subfolder, type: found.type };
}

import { useEffect, useState } from "react";
import { forgetJob, jobDetail } from "@/api/jobs";
import { factsOf, loadWorkflow, seedsOf, takeSeeds } from "@/api/made_by";
import type { JobDetail } from "@/api/types.gen";
import type { Job } from "@/store/runs";
import { text, useText } from "@/store/text";
import { tell } from "@/store/view";

interface PictureFactsProps {
  readonly url: string;
  readonly name: string;
  readonly job: Job | undefined;
  /** The window behind is to be seen again. */
  readonly onDone: () => void;
}

/** How a picture was made, and what can be done with it. */
export function PictureFacts({ url, name, job, onDone }: PictureFactsProps) {
  const t = useText();
  const [detail, setDetail] = useState<JobDetail>();
  const id = job?.id;
  useEffect(() => {
    let isWanted = true;
    if (id !== undefined) {
      jobDetail(id)
        .then((found) => isWanted && setDetail(found))
        .catch(() => undefined);
    }
    return () => {
      isWanted = false;
    };
  }, [id]);
  const open = () => {
    onDone();
    loadWorkflow(url, name, detail).catch((error: unknown) => tell(said(error), "error"));
  };
  const copy = () =>
    copyPicture(url).then(
      () => tell(text("lightbox.copied")),
      (error) => tell(said(error), "error"),
    );
  const setSeeds = () => {
    if (detail) tell(text("lightbox.seedsUsed", { n: takeSeeds(detail) }));
    onDone();
  };
  return (
    <>
      <div className="row">
        <button type="button" onClick={open}>
          {t("lightbox.load")}
        </button>
        {detail && seedsOf(detail).length > 0 && (
          <button type="button" onClick={setSeeds}>
            {t("lightbox.useSeed")}
          </button>
        )}
        <button type="button" onClick={copy}>
          {t("lightbox.copy")}
        </button>
        <a href={url} download={name}>
          {t("lightbox.download")}
        </a>
        {job && (
          <button type="button" onClick={() => forgetJob(job.id).then(onDone)}>
            {t("job.delete")}
          </button>
        )}
      </div>
      {detail && (
        <dl>
          {factsOf(detail).map(([key, value]) => (
            <Fact key={`${key} ${value}`} name={key} value={value} />
          ))}
        </dl>
      )}
    </>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

/** Browsers take no other pictures than PNG into the clipboard. */
async function copyPicture(url: string): Promise<void> {
  const picture = await createImageBitmap(await (await fetch(url)).blob());
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d")?.drawImage(picture, 0, 0);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": canvas.convertToBlob({ type: "image/png" }) })]);
}

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

"""What A1111 and its kin write into pictures, the text `parameters`, as the workflow it describes."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from graph.paths import WEIGHTS
from graph.problems import DocumentError, Problem, some
from graph.read import emphasis, samplers
from graph.read.convert import Converted
from graph.read.facts import Facts, Registered

LONGEST = 2**20  # letters of a text that is read
SETTINGS_LINE = re.compile(r"^Steps: {0,9}\d", re.MULTILINE)
NEGATIVE = "Negative prompt:"
KEY = re.compile(r"\w[\w /.+-]{0,60}")
NETWORK = re.compile(r"<(\w{1,20}):([^<>:]{1,300})((?::[^<>:]{0,40}){0,4})>")
MOST_NETWORKS = 100
LATENT_UPSCALERS: Mapping[str, str] = {
    "latent": "bilinear",
    "latent (antialiased)": "bilinear",
    "latent (bicubic)": "bicubic",
    "latent (bicubic antialiased)": "bicubic",
    "latent (nearest)": "nearest-exact",
    "latent (nearest-exact)": "nearest-exact",
}
PIXEL_UPSCALERS: Mapping[str, str] = {"none": "lanczos", "lanczos": "lanczos", "nearest": "nearest-exact"}
KNOWN_MODELS: Mapping[str, str] = {  # upscalers under a name that is not that of their file
    "r-esrgan 4x+": "RealESRGAN_x4plus",
    "r-esrgan 4x+ anime6b": "RealESRGAN_x4plus_anime_6B",
    "r-esrgan 2x+": "RealESRGAN_x2plus",
    "esrgan_4x": "ESRGAN_4x",
}
SAYS_NOTHING = frozenset((  # of how the picture comes about, or only what another setting says
    "model hash", "vae hash", "lora hashes", "hashes", "version", "batch size", "batch pos", "template",
    "negative template", "civitai resources", "civitai metadata", "created date", "user", "vae encoder", "vae decoder",
    "hires module 1", "ti", "pad conds", "rng",
))  # fmt: skip


def is_parameters(text: str) -> bool:
    """Whether a text is of this kind: one of its lines holds the settings, beginning with the steps."""
    return len(text) <= LONGEST and SETTINGS_LINE.search(text) is not None


def to_prompt(parameters: str, facts: Facts | None = None) -> Converted:
    """The workflow that a text describes, of ComfyUI's node classes; notes say what has no counterpart.

    With facts, names of models are those of files there are, and `unknown` are nodes of classes that there are not.
    Raises DocumentError if the text describes no picture.
    """
    if not is_parameters(parameters):
        sentence = "The text “parameters” in this picture does not say how it was drawn: it has no line “Steps: …”."
        raise DocumentError([Problem("invalid_prompt", f"{sentence[:-1]}; give a picture that was saved with it.")])
    reading = _Reading(parameters, facts)
    reading.build()
    unknown = [
        node_id for node_id, node in reading.prompt.items() if facts and facts.of(str(node["class_type"])) is None
    ]
    return Converted(reading.prompt, tuple(dict.fromkeys(reading.notes)), tuple(unknown))


def parse(parameters: str) -> tuple[str, str, dict[str, str]]:
    """The prompt, the negative prompt, and the settings by their names."""
    starts = [found.start() for found in SETTINGS_LINE.finditer(parameters)]
    texts = parameters[: starts[-1]] if starts else parameters
    settings = _settings(parameters[starts[-1] :]) if starts else {}
    before, sign, after = f"\n{texts}".partition(f"\n{NEGATIVE}")
    return before.strip(), after.strip() if sign else "", settings


def _settings(line: str) -> dict[str, str]:
    """`Name: value, Other: "value, with commas"`, of a line and of those that follow it. The first of a name counts."""
    found: dict[str, str] = {}
    decoder = json.JSONDecoder()
    place = 0
    while place < len(line):
        key = KEY.match(line, place)
        if key is None or line[key.end() : key.end() + 1] != ":":
            place = _next_field(line, place)
            continue
        start = key.end() + 1
        while line[start : start + 1] == " ":
            start += 1
        end = _next_field(line, start)
        value = line[start:end].rstrip(",\n ")
        if line[start : start + 1] in ('"', "{"):
            try:
                read, after = decoder.raw_decode(line[start:])
            except (ValueError, RecursionError):
                pass
            else:
                value = read if isinstance(read, str) else line[start : start + after]
                end = _next_field(line, start + after)
        found.setdefault(key[0].strip(), value)
        place = end
    return found


def _next_field(line: str, place: int) -> int:
    """Where the next name may stand: after a comma or the end of a line, and spaces."""
    while place < len(line) and line[place] not in ",\n":
        place += 1
    while place < len(line) and line[place] in ",\n ":
        place += 1
    return place


class _Reading:
    """Builds the workflow from one text."""

    def __init__(self, parameters: str, facts: Facts | None) -> None:
        self.prompt: dict[str, Any] = {}
        self.notes: list[str] = []
        self._positive, self._negative, settings = parse(parameters)
        self._names = {name.lower(): name for name in settings}
        self._given = {name.lower(): value for name, value in settings.items()}
        self._asked: set[str] = set()
        self._facts = facts
        self._embeddings = self._known_embeddings()

    def build(self) -> None:
        steps = self._int("steps", 20, 1)
        size = self._size("size") or (512, 512)
        if not self._given.get("size"):
            self.notes.append("The text says no size; 512×512 is taken.")
        model = self._add("CheckpointLoaderSimple", "Model", ckpt_name=self._model())
        vae = self._vae([model, 2])
        clip: list[Any] = [model, 1]
        network: list[Any] = [model, 0]
        positive, loras = self._networks(self._positive)
        for name, strength, strength_clip in loras:
            title = f"LoRA {name}"
            file = self._file("LoraLoader", "lora_name", name)
            lora = self._add(
                "LoraLoader", title, model=network, clip=clip,
                lora_name=file, strength_model=strength, strength_clip=strength_clip,
            )  # fmt: skip
            network, clip = [lora, 0], [lora, 1]
        if NETWORK.search(self._negative):
            self.notes.append("LoRAs named in the negative prompt have no effect in A1111; they stay in it as words.")
        skip = self._int("clip skip", 1, 1)
        if skip > 1:
            clip = [self._add("CLIPSetLastLayer", f"Clip skip {skip}", clip=clip, stop_at_clip_layer=-skip), 0]
        conditions = [self._encode(positive, "Prompt", clip, steps)]
        conditions.append(self._encode(self._negative, "Negative prompt", clip, steps))
        empty = self._add("EmptyLatentImage", "Size", width=size[0], height=size[1], batch_size=1)
        sampler = self._sampler("sampler", "schedule type")
        noise = {"seed": self._seed(), "steps": steps, "cfg": self._float("cfg scale", 7.0)}
        latent = self._sample("Draw", network, conditions, [empty, 0], noise, sampler, 1.0)
        if self._given.keys() & {"hires upscale", "hires resize", "hires upscaler"}:
            larger = self._larger(latent, vae, size)
            steps = self._int("hires steps", steps, 0) or steps
            noise |= {"steps": steps, "cfg": self._float("hires cfg scale", 0.0) or noise["cfg"]}
            conditions = self._hires_conditions(conditions, clip, steps)
            if "hires sampler" in self._given or "hires schedule type" in self._given:
                sampler = self._sampler("hires sampler", "hires schedule type", sampler)
            denoise = min(max(self._float("denoising strength", 0.7), 0.0), 1.0)
            latent = self._sample("Draw larger", network, conditions, larger, noise, sampler, denoise)
        elif self._ask("denoising strength"):
            self.notes.append(
                "The picture was made from another one, which is not in the text; this workflow begins with none."
            )
        pixels = self._add("VAEDecode", "Decode", samples=latent, vae=vae)
        self._add("SaveImage", "Save", images=[pixels, 0], filename_prefix="ComfyUI")
        self._tell_rest()

    # -- nodes

    def _add(self, class_type: str, title: str, **inputs: Any) -> str:
        node_id = str(len(self.prompt) + 1)
        self.prompt[node_id] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
        return node_id

    def _encode(self, text: str, title: str, clip: list[Any], steps: int) -> list[Any]:
        translated, notes = emphasis.translate(text, steps)
        self.notes += notes
        text = emphasis.name_embeddings(translated, self._embeddings)
        return [self._add("CLIPTextEncode", title, clip=clip, text=text), 0]

    def _sample(
        self,
        title: str,
        model: list[Any],
        conditions: list[list[Any]],
        latent: list[Any],
        noise: Mapping[str, Any],
        sampler: samplers.Names,
        denoise: float,
    ) -> list[Any]:
        positive, negative = conditions
        node = self._add(
            "KSampler", title, model=model, positive=positive, negative=negative, latent_image=latent, **noise,
            sampler_name=sampler.sampler, scheduler=sampler.schedule, denoise=denoise,
        )  # fmt: skip
        return [node, 0]

    def _larger(self, latent: list[Any], vae: list[Any], size: tuple[int, int]) -> list[Any]:
        """The picture of the first pass, larger, as a latent."""
        scale = self._float("hires upscale", 2.0)
        resized = self._size("hires resize")
        width, height = resized or (int(side * scale) // 8 * 8 for side in size)
        upscaler = self._ask("hires upscaler") or "Latent"
        method = LATENT_UPSCALERS.get(upscaler.lower())
        if method:
            node = self._add(
                "LatentUpscale", "Larger", samples=latent, upscale_method=method,
                width=width, height=height, crop="disabled",
            )  # fmt: skip
            return [node, 0]
        pixels = [self._add("VAEDecode", "Decode to enlarge", samples=latent, vae=vae), 0]
        method = PIXEL_UPSCALERS.get(upscaler.lower())
        if method is None:
            name = self._file("UpscaleModelLoader", "model_name", KNOWN_MODELS.get(upscaler.lower(), upscaler), ".pth")
            loader = self._add("UpscaleModelLoader", "Upscaler", model_name=name)
            pixels = [self._add("ImageUpscaleWithModel", "Larger", upscale_model=[loader, 0], image=pixels), 0]
        node = self._add(
            "ImageScale", "Exact size", image=pixels, upscale_method=method or "lanczos",
            width=width, height=height, crop="disabled",
        )  # fmt: skip
        return [self._add("VAEEncode", "Encode again", pixels=[node, 0], vae=vae), 0]

    def _hires_conditions(self, conditions: list[list[Any]], clip: list[Any], steps: int) -> list[list[Any]]:
        positive, negative = self._ask("hires prompt"), self._ask("hires negative prompt")
        first, second = conditions
        if positive:
            text, loras = self._networks(positive)
            if loras:
                self.notes.append("LoRAs of the hires prompt are left out; those of the prompt hold for both passes.")
            first = self._encode(text, "Prompt of the larger picture", clip, steps)
        if negative:
            second = self._encode(negative, "Negative prompt of the larger picture", clip, steps)
        return [first, second]

    def _vae(self, own: list[Any]) -> list[Any]:
        name = self._ask("vae")
        if not name or name.lower() in ("automatic", "none", "built in"):
            return own
        return [self._add("VAELoader", "VAE", vae_name=self._file("VAELoader", "vae_name", name)), 0]

    # -- settings

    def _ask(self, key: str) -> str:
        self._asked.add(key)
        return self._given.get(key, "").strip()

    def _int(self, key: str, default: int, least: int) -> int:
        return max(int(self._number(key, default)), least)

    def _float(self, key: str, default: float) -> float:
        return float(self._number(key, default))

    def _number(self, key: str, default: float) -> float | int:
        text = self._ask(key)
        if re.fullmatch(r"-?[0-9]{1,20}", text):
            return int(text)
        if re.fullmatch(r"-?[0-9]{0,20}\.[0-9]{0,40}", text) and len(text) > text.count(".") + text.count("-"):
            return float(text)
        if text:
            self.notes.append(f"“{self._names[key]}: {_short(text)}” is no number; {default:g} is taken.")
        return default

    def _seed(self) -> int:
        if not self._given.get("seed"):
            self.notes.append("The text says no seed; 0 is taken.")
        if self._given.get("rng", "").upper() != "CPU":
            self.notes.append(
                "The noise was not drawn on the processor (no “RNG: CPU” in the text), so that details will differ."
            )
        return min(self._int("seed", 0, 0), 2**64 - 1)

    def _size(self, key: str) -> tuple[int, int] | None:
        text = self._ask(key)
        found = re.fullmatch(r"([0-9]{1,6}) ?[x×] ?([0-9]{1,6})", text)
        if found and int(found[1]) and int(found[2]):
            return int(found[1]), int(found[2])
        if text:
            self.notes.append(f"“{self._names[key]}: {_short(text)}” is no size, such as 512x768.")
        return None

    def _sampler(self, key: str, schedule_key: str, first: samplers.Names | None = None) -> samplers.Names:
        sampler, schedule = self._ask(key), self._ask(schedule_key) or self._ask("scheduler")
        if not sampler or sampler.lower() == "use same sampler":
            sampler = first.sampler if first else "euler"
        if schedule.lower() == "use same scheduler" or (first and not schedule):
            schedule = first.schedule if first else ""
        found = samplers.from_a1111(sampler, schedule)
        if found is None:
            self.notes.append(f"There is no counterpart of the sampler {_short(sampler)!r}; euler is taken.")
            found = samplers.from_a1111("euler", schedule) or samplers.Names("euler", "normal")
        if not found.schedule:
            self.notes.append(f"There is no counterpart of the schedule {_short(schedule)!r}; normal is taken.")
            found = samplers.Names(found.sampler, "normal")
        return found

    def _networks(self, prompt: str) -> tuple[str, list[tuple[str, float, float]]]:
        """The prompt without what it names in `<…>`, and the LoRAs among that, with their strengths."""
        loras: list[tuple[str, float, float]] = []

        def taken(found: re.Match[str]) -> str:
            kind, name = found[1].lower(), found[2].strip()
            if kind not in ("lora", "lyco") or len(loras) == MOST_NETWORKS:
                self.notes.append(f"{_short(found[0])} in the prompt has no counterpart and is left out.")
                return ""
            by_name = {"te": 1.0, "unet": None}
            numbers = []
            for part in found[3].split(":")[1:]:
                key, sign, value = part.partition("=")
                if sign:
                    by_name[key.strip().lower()] = _strength(value)
                else:
                    numbers.append(_strength(part))
            text_strength = numbers[0] if numbers else by_name["te"]
            strength = numbers[1] if len(numbers) > 1 else by_name["unet"]
            text_strength = 1.0 if text_strength is None else text_strength
            loras.append((name, text_strength if strength is None else strength, text_strength))
            return ""

        return NETWORK.sub(taken, prompt).strip(), loras

    def _tell_rest(self) -> None:
        rest = [key for key in self._given if key not in self._asked and key not in SAYS_NOTHING]
        if rest:
            said = some([_short(f"{self._names[key]}: {self._given[key]}", 40) for key in rest])
            self.notes.append(f"Settings that have no counterpart are left out: {said}.")

    # -- files

    def _model(self) -> str:
        name = self._ask("model")
        if name:
            return self._file("CheckpointLoaderSimple", "ckpt_name", name)
        choices = self._choices("CheckpointLoaderSimple", "ckpt_name")
        taken = choices[0] if choices else "model.safetensors"
        self.notes.append(f"The text says no model; {taken!r} is taken.")
        return taken

    def _file(self, class_type: str, name: str, wanted: str, ending: str = ".safetensors") -> str:
        """The file that a name without folder and ending means, or the one with nearly that name."""
        choices = self._choices(class_type, name)
        stems = {_stem(choice).casefold(): choice for choice in reversed(choices)}
        stem = _stem(wanted).casefold()
        if stem in stems:
            return stems[stem]
        near = difflib.get_close_matches(stem[:300], stems, n=1, cutoff=0.85)
        if near:
            found = stems[near[0]]
            self.notes.append(f"There is no file {_short(wanted)!r}; {found!r}, which has nearly that name, is taken.")
            return found
        return wanted if wanted.lower().endswith(WEIGHTS) else f"{wanted}{ending}"

    def _choices(self, class_type: str, name: str) -> list[str]:
        known = self._facts.of(class_type) if self._facts else None
        inputs = [item for item in known.inputs if item.name == name] if known else []
        return [choice for item in inputs for choice in item.choices if isinstance(choice, str)]

    def _known_embeddings(self) -> list[str]:
        """Learnt words by name: those that the text lists, and those there are."""
        listed = self._ask("ti hashes").split(",")
        names: Iterable[str] = (part.partition(":")[0].strip() for part in listed)
        files = self._facts.paths.list("embeddings") if isinstance(self._facts, Registered) else []
        return [name for name in (*names, *map(_stem, files)) if name]


def _stem(name: str) -> str:
    """The name of a file without folder and, where it has one of a model's, ending."""
    last = PurePosixPath(name.replace("\\", "/")).name
    ending = next((each for each in WEIGHTS if last.lower().endswith(each)), "")
    return last[: len(last) - len(ending)]


def _strength(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*-?([0-9]{1,9}(\.[0-9]{0,20})?|\.[0-9]{1,20})\s*", text) else None


def _short(text: str, longest: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"

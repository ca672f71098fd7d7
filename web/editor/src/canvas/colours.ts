// The colour of a type of socket, for style sheets and for the far canvas.

const NAMED = [
  "MODEL",
  "CLIP",
  "VAE",
  "CONDITIONING",
  "LATENT",
  "IMAGE",
  "MASK",
  "CONTROL_NET",
  "INT",
  "FLOAT",
  "STRING",
  "BOOLEAN",
];

/** A CSS colour: the theme's for types that it knows, and for others one by their name. */
export function colourOf(type: string): string {
  if (NAMED.includes(type)) return `var(--type-${type}, ${byName(type)})`;
  return byName(type);
}

/** The same where variables do not work: on a canvas. */
export function paintOf(type: string, styles: CSSStyleDeclaration): string {
  return styles.getPropertyValue(`--type-${type}`).trim() || byName(type);
}

function byName(type: string): string {
  const hash = [...type].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7);
  return `hsl(${hash} 50% 55%)`;
}

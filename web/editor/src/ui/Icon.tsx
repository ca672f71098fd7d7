/** A drawing of lines: the `d` of a path in 24 × 24. It says nothing to screen readers; what it stands on does. */
export function Icon({ d, size = 18 }: { readonly d: string; readonly size?: number }) {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.5}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={d} />
    </svg>
  );
}

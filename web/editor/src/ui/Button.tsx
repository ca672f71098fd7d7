import type { ButtonHTMLAttributes } from "react";
import { Icon } from "./Icon";
import "./Button.css";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  /** "primary" is the one that most people want here; "quiet" has no frame until it is pointed at. */
  readonly kind?: "plain" | "primary" | "quiet";
  /** The `d` of a path in 24 × 24. */
  readonly icon?: string;
}

/** A button with words, and with a drawing before them if there is one. */
export function Button({ kind = "plain", icon, className = "", children, ...rest }: ButtonProps) {
  return (
    <button type="button" className={`button ${kind} ${className}`} {...rest}>
      {icon !== undefined && <Icon d={icon} size={16} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly icon: string;
  /** What it does, for screen readers and as a tooltip. */
  readonly label: string;
}

/** A button that is a drawing; its words are its tooltip. */
export function IconButton({ icon, label, className = "", ...rest }: IconButtonProps) {
  return (
    <button type="button" className={`button quiet square ${className}`} aria-label={label} data-tooltip={label} {...rest}>
      <Icon d={icon} />
    </button>
  );
}

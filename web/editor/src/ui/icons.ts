// The drawings of the window: paths in 24 × 24, drawn with lines.

export const CLOSE = "M6 6l12 12M18 6L6 18";
export const PLUS = "M12 5v14M5 12h14";
export const MENU = "M4 7h16M4 12h16M4 17h16";
export const BACK = "M14.5 6l-6 6 6 6";
export const RIGHT = "M9.5 6l6 6-6 6";
export const DOWN = "M6 9.5l6 6 6-6";
export const CHECK = "M5 12.5l4.5 4.5L19 7.5";
export const SEARCH = "M10.5 5a5.5 5.5 0 1 0 .01 0M14.5 14.5L19 19";
export const PLAY = "M8 5.5v13l10.5-6.5z";
export const STOP = "M7.5 7.5h9v9h-9z";
export const INFO = "M12 4a8 8 0 1 0 .01 0M12 11v5M12 8v.01";
export const ERROR = "M12 4l9 15.5H3zM12 10v4M12 16.8v.01";

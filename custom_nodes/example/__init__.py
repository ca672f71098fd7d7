"""An example of a node pack: copy this folder, rename it, and write your own classes."""

from graph import Context, Int, Node, Text, Toggle


class TextLines(Node[list[str]], category="text", display="Text Lines"):
    """Give the lines of a text one by one: whatever follows runs once for each, such as a picture for each prompt."""

    text: str = Text(default="", multiline=True, tooltip="A line for each time that the rest shall run.")
    start: int = Int(default=0, min=0, optional=True, tooltip="How many lines to leave out at the beginning.")
    most: int = Int(default=0, min=0, optional=True, tooltip="How many lines to give; 0 gives all.")
    keep_empty: bool = Toggle(default=False, optional=True, tooltip="Whether lines without a word count.")

    def run(self, ctx: Context) -> list[str]:
        lines = [line.strip() for line in self.text.splitlines()]
        if not self.keep_empty:
            lines = [line for line in lines if line]
        return lines[self.start :][: self.most or None]

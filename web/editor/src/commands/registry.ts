// All commands, found by their files.
import { text } from "@/store/text";
import { tell } from "@/store/view";
import type { Command, Origin, Place } from "./command";

export interface NamedCommand extends Command {
  /** The name of its file. */
  readonly id: string;
}

const files = import.meta.glob<Command>(["./*.ts", "!./command.ts", "!./registry.ts", "!./keys.ts"], {
  eager: true,
  import: "default",
});

export const COMMANDS: ReadonlyMap<string, NamedCommand> = new Map(
  Object.entries(files).map(([path, command]) => {
    const id = path.slice("./".length, -".ts".length);
    return [id, { ...command, id }];
  }),
);

/** The commands of a menu in its sections: each hundred of `order` is one. */
export function sectionsOf(place: Place): NamedCommand[][] {
  const here = [...COMMANDS.values()]
    .filter((command) => command.places.includes(place))
    .sort((a, b) => a.order - b.order || a.id.localeCompare(b.id));
  return [...Map.groupBy(here, ({ order }) => Math.floor(order / 100)).values()];
}

export const isEnabled = (command: Command, origin: Origin = {}): boolean => command.isEnabled?.(origin) ?? true;

export const nameOf = ({ id }: NamedCommand): string => text(`command.${id}`);

/** Do what a command does, if it can be done now. What goes wrong is told. */
export async function run(id: string, origin: Origin = {}): Promise<void> {
  const command = COMMANDS.get(id);
  if (!command || !isEnabled(command, origin)) return;
  try {
    await command.run(origin);
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error), "error");
  }
}

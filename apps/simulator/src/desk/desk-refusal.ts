/** A command that the printer did not carry out. `minor` is its own word for why. */
export class DeskRefusal extends Error {
  override readonly name = 'DeskRefusal';
  readonly minor: string;

  constructor(minor: string) {
    super(`the printer did not do it: ${minor}`);
    this.minor = minor;
  }
}

/**
 * A chip channel whose faults are confirmed by the printer: only the printer can say whether the card that fell
 * silent still stands in the chip station.
 */
import { type ApduChannel } from '../apdu-channel.ts';
import { DeviceFault } from '../device-fault.ts';

export class ConfirmedApduChannel implements ApduChannel {
  readonly #channel: ApduChannel;
  readonly #confirm: (fault: DeviceFault) => Promise<DeviceFault>;

  constructor(channel: ApduChannel, confirm: (fault: DeviceFault) => Promise<DeviceFault>) {
    this.#channel = channel;
    this.#confirm = confirm;
  }

  get atr(): Uint8Array {
    return this.#channel.atr;
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.#confirmed(() => this.#channel.transmit(command));
  }

  reset(): Promise<void> {
    return this.#confirmed(() => this.#channel.reset());
  }

  close(): Promise<void> {
    return this.#channel.close();
  }

  async #confirmed<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (error instanceof DeviceFault) throw await this.#confirm(error);
      throw error;
    }
  }
}

/** A virtual card as an APDU channel, without a reader in between. */
import { type VirtualCard } from '@cardwright/card';
import { type ApduChannel, DeviceFault } from '@cardwright/devices';

export function channelTo(
  card: VirtualCard,
  onCommand: (command: Uint8Array) => void = () => undefined,
): ApduChannel {
  card.reset();
  return {
    atr: card.atr,
    transmit: (command) => {
      onCommand(command);
      try {
        return Promise.resolve(card.transmit(command));
      } catch {
        return Promise.reject(
          new DeviceFault({ code: 'CHIP_FAIL', faultClass: 'card-inside', vendor: 'no answer' }),
        );
      }
    },
    reset: () => {
      card.reset();
      return Promise.resolve();
    },
    close: () => {
      card.powerOff();
      return Promise.resolve();
    },
  };
}

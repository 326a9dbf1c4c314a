/** The printer's words and what the driver makes of them: pure, by example and by property. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeBitmap24 } from '../src/evolis/bitmap-24.ts';
import {
  decideEventReaction,
  decideFaultClass,
  faultCodeOf,
  minorStateIn,
} from '../src/evolis/evolis-faults.ts';
import {
  deviceStateOf,
  parseCardPosition,
  parseCounter,
  parseEvent,
  parseState,
} from '../src/evolis/evolis-state.ts';
import { type CardPosition } from '../src/index.ts';

test('minor states become canonical faults, whatever family they come in', () => {
  const expected = {
    DEF_FEEDER_EMPTY: 'STOCK_EMPTY',
    FEEDER_EMPTY: 'STOCK_EMPTY',
    ERR_FEEDER_ERROR: 'FEED_FAIL',
    DEF_RIBBON_ENDED: 'RIBBON_OUT',
    ERR_RIBBON_ENDED: 'RIBBON_OUT',
    DEF_NO_RIBBON: 'RIBBON_OUT',
    ERR_RIBBON_ERROR: 'RIBBON_FAULT',
    ERR_BAD_RIBBON: 'RIBBON_FAULT',
    DEF_UNSUPPORTED_RIBBON: 'RIBBON_FAULT',
    DEF_COVER_OPEN: 'COVER_OPEN',
    ERR_COVER_OPEN: 'COVER_OPEN',
    ERR_MECHANICAL: 'CARD_JAM',
    AVANSIA_ERR_CARD_JAM: 'CARD_JAM',
    ERR_HOPPER_FULL: 'OUTPUT_FULL',
    ERR_REJECT_BOX_FULL: 'REJECT_FULL',
    DEF_REJECT_BOX_FULL: 'REJECT_FULL',
    ERR_WRITE_MAGNETIC: 'MAG_FAIL',
    PRINTER_OFFLINE: 'OFFLINE',
    ERR_HEAD_TEMP: 'DEVICE_FAULT',
    CFG_FLIP: 'DEVICE_FAULT',
    ERR_SOMETHING_NEW: 'DEVICE_FAULT',
  };
  for (const [minor, code] of Object.entries(expected)) assert.equal(faultCodeOf(minor), code, minor);
});

test('a minor state is found in whatever text the printer wraps it in', () => {
  assert.equal(minorStateIn('-200 the move failed: ERR_MECHANICAL.'), 'ERR_MECHANICAL');
  assert.equal(minorStateIn('-20 print failed'), undefined);
});

test('major and minor state give the state of the port', () => {
  const expected = {
    'READY,PRINTER_READY': 'ready',
    'READY,INF_SLEEP_MODE': 'ready',
    'WARNING,INF_RIBBON_LOW': 'ready',
    'READY,INF_PRINTING_RUNNING': 'busy',
    'WARNING,BUSY': 'busy',
    'WARNING,DEF_COVER_OPEN': 'attention',
    'WARNING,CFG_FLIP': 'attention',
    'ERROR,ERR_MECHANICAL': 'fault',
    'OFF,PRINTER_OFFLINE': 'offline',
    nonsense: 'fault',
  };
  for (const [words, state] of Object.entries(expected)) {
    assert.equal(deviceStateOf(parseState(words)), state, words);
  }
});

test('the card is where the information word says, and unknown when it says two places', () => {
  const expected: Record<string, CardPosition> = {
    '00540000,00000000,00000000,00000000': 'none',
    '00540000,10000000,00000000,00000000': 'transport',
    '00540000,04000000,00000000,00000000': 'contact',
    '00540000,02000001,00000000,00000000': 'print',
    '00540000 01000000 00000000 00000000': 'exit',
    '00540000,30000000,00000000,00000000': 'transport',
    '00540000,05000000,00000000,00000000': 'unknown',
    '00540000,04000000': 'unknown',
    '00540000,04,0,0': 'unknown',
    '': 'unknown',
  };
  for (const [words, position] of Object.entries(expected)) {
    assert.equal(parseCardPosition(words), position, words);
  }
});

test('no text makes the parsers throw', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      deviceStateOf(parseState(text));
      parseCardPosition(text);
      const event = parseEvent(text);
      if (event !== undefined) decideEventReaction(event);
      const counter = parseCounter(text);
      assert.ok(counter === undefined || (Number.isSafeInteger(counter) && counter >= 0));
    }),
  );
});

test('only evidence makes a fault clean: no blank asked for, or an unchanged counter and nothing inside', () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.constantFrom<CardPosition>('none', 'transport', 'contact', 'print', 'exit', 'unknown'),
      fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
      (hasFed, position, pickedInSession) => {
        const faultClass = decideFaultClass({ hasFed, position, pickedInSession });
        const isInside = position !== 'none' && position !== 'unknown';
        assert.equal(faultClass === 'card-inside', isInside);
        const isProvablyClean = !hasFed || (pickedInSession === 0 && position === 'none');
        if (!isInside) assert.equal(faultClass, isProvablyClean ? 'clean' : 'ambiguous');
      },
    ),
  );
});

test('an event asks, is acknowledged, or gives up, as its actions allow', () => {
  const react = (text: string): unknown => {
    const event = parseEvent(text);
    assert.ok(event !== undefined);
    return decideEventReaction(event);
  };
  assert.deepEqual(react('DEF_FEEDER_EMPTY:RETRY,CANCEL'), {
    kind: 'ask',
    retryAction: 'RETRY',
    cancelAction: 'CANCEL',
  });
  assert.deepEqual(react('DEF_FEEDER_EMPTY:OK,CANCEL'), {
    kind: 'ask',
    retryAction: 'OK',
    cancelAction: 'CANCEL',
  });
  assert.deepEqual(react('ERR_MECHANICAL:CANCEL'), { kind: 'give-up', action: 'CANCEL' });
  assert.deepEqual(react('ERR_MECHANICAL:OK'), { kind: 'give-up', action: 'OK' });
  assert.deepEqual(react('INF_RIBBON_LOW:OK,CANCEL'), { kind: 'acknowledge', action: 'OK' });
  assert.equal(parseEvent('NONE'), undefined);
});

test('a bitmap holds the pixels bottom row first, blue before red, rows padded to four bytes', () => {
  fc.assert(
    fc.property(
      fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 7 })).chain(([width, height]) =>
        fc.record({
          width: fc.constant(width),
          height: fc.constant(height),
          rgb: fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 }),
        }),
      ),
      ({ width, height, rgb }) => {
        const bitmap = Buffer.from(encodeBitmap24({ width, height, rgb }, 300));
        const rowBytes = Math.ceil((width * 3) / 4) * 4;
        assert.equal(bitmap.length, 54 + rowBytes * height);
        assert.equal(bitmap.toString('latin1', 0, 2), 'BM');
        assert.equal(bitmap.readUInt32LE(2), bitmap.length);
        assert.equal(bitmap.readInt32LE(38), 11811, '300 dpi in pixels per metre');
        const row = height - 1;
        const pixel = 54 + (width - 1) * 3; // last pixel of the bottom row, which is stored first
        const source = (row * width + width - 1) * 3;
        assert.deepEqual(
          [...bitmap.subarray(pixel, pixel + 3)],
          [rgb[source + 2], rgb[source + 1], rgb[source]],
        );
      },
    ),
  );
});

/**
 * How the server link fails, in two classes that policy can read: a refusal is the server's decision, a link fault
 * means that the true answer is not known.
 */
import { type StationErrorCode, stationErrors } from '@cardwright/protocol';

/** The server decided: asking again cannot help. */
export class StationRefusal extends Error {
  override readonly name = 'StationRefusal';
  readonly code: string;

  constructor(code: string) {
    super(`the server refused: ${code}`);
    this.code = code;
  }
}

/** No answer, or none that can be read: whether the server acted is unknown, and the call may be repeated. */
export class LinkFault extends Error {
  override readonly name = 'LinkFault';
  /** Stable reason for logs: a station error code, `HTTP_<status>`, `UNREADABLE`, or a socket error's code. */
  readonly code: string;

  constructor(code: string) {
    super(`the server cannot be asked: ${code}`);
    this.code = code;
  }
}

function isStationErrorCode(code: string): code is StationErrorCode {
  return Object.hasOwn(stationErrors, code);
}

/** Turns an error answer into the error of its class. An unknown code counts by its HTTP status. */
export function stationFailure(httpStatus: number, code: string | undefined): StationRefusal | LinkFault {
  if (code !== undefined && isStationErrorCode(code)) {
    return stationErrors[code].isFinal ? new StationRefusal(code) : new LinkFault(code);
  }
  const isFinal = httpStatus >= 400 && httpStatus < 500 && ![401, 403, 408, 425, 429].includes(httpStatus);
  const reason = `HTTP_${httpStatus}`;
  return isFinal ? new StationRefusal(reason) : new LinkFault(reason);
}

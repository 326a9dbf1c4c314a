/** The D1 error body and the registry of its codes (OD-4.1, OD-4.2). */
import { type Static, Type } from 'typebox';

export const d1Errors = {
  FIELD_INVALID_FORMAT: { httpStatus: 400, retry: 'never', names: 'field' },
  FIELD_INVALID_VALUE: { httpStatus: 400, retry: 'never', names: 'field' },
  AUTHORIZER_UNAUTHORIZED: { httpStatus: 401, retry: 'after-new-token', names: 'text' },
  FORBIDDEN: { httpStatus: 403, retry: 'never', names: 'text' },
  NOT_FOUND: { httpStatus: 404, retry: 'never', names: 'text' },
  CONFLICT: { httpStatus: 409, retry: 'never', names: 'field' },
  PAYLOAD_TOO_LARGE: { httpStatus: 413, retry: 'never', names: 'text' },
  UNSUPPORTED_MEDIA_TYPE: { httpStatus: 415, retry: 'never', names: 'text' },
  TOO_MANY_REQUESTS: { httpStatus: 429, retry: 'later', names: 'text' },
  INTERNAL_ERROR: { httpStatus: 500, retry: 'same-request', names: 'text' },
  SERVICE_UNAVAILABLE: { httpStatus: 503, retry: 'later', names: 'text' },
} as const;
export type D1ErrorCode = keyof typeof d1Errors;

export const D1Error = Type.Object(
  {
    errorCode: Type.String(),
    error: Type.String({ description: 'The first field in error, or a short text' }),
  },
  { $id: 'd1Error' },
);
export type D1Error = Static<typeof D1Error>;

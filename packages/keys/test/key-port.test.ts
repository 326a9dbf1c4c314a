/** The conformance suite of the key port, over every adapter that there is. */
import './key-port-conformance.ts';

import { runDeviceConformance } from '../src/conformance/device-conformance.ts';
import { startDriverRig } from './driver-rig.ts';

runDeviceConformance(() => startDriverRig());

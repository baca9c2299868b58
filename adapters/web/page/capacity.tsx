import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import {
  type DeviceRates,
  DiskSamples,
  forecast,
  parseBandwidth,
  parseInterval,
  ratesOfChange,
  totalName,
} from '../../../domain/rate-of-change.ts';
import { ageText, bytesText } from '../../../projections/status-text.ts';
import { Badge } from './parts.tsx';

/** What was recorded: `mirrorkeeper roc record FILE`, or copies of /proc/diskstats behind date lines. */
interface Recording {
  readonly name: string;
  readonly samples: DiskSamples['samples'];
}

async function recordingOf(file: File): Promise<Recording> {
  const samples = new DiskSamples([]);
  for (const line of (await file.text()).split('\n')) samples.take(line);
  return { name: file.name, samples: samples.samples };
}

/** Capacity planning (REQUIREMENTS 2.13): a recording never leaves the browser. */
export function CapacityPage() {
  const [recording, setRecording] = useState<Recording | null>(null);
  const [interval, setSampling] = useState('120');
  const [bandwidth, setBandwidth] = useState('');
  const [device, setDevice] = useState(totalName);
  const seconds = parseInterval(interval);
  const devices = useMemo(
    () => (recording === null || seconds === undefined ? [] : ratesOfChange(recording.samples, seconds)),
    [recording, seconds],
  );
  const shown =
    devices.find((one) => one.device === device) ?? devices.find((one) => one.device === totalName);
  return (
    <>
      <h1>Rate of change</h1>
      <p>
        How fast the disks change, and whether a link keeps up with it. Record on the source with{' '}
        <code>mirrorkeeper roc record FILE</code> for some days, then open the file here: it stays in this
        browser.
      </p>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          Recording
          <input
            type="file"
            onChange={({ currentTarget: { files } }) => {
              const file = files?.[0];
              if (file) void recordingOf(file).then(setRecording);
            }}
          />
        </label>
        <label>
          Interval of the samples
          <input value={interval} onInput={(event) => setSampling(event.currentTarget.value)} />
        </label>
        <label>
          Bandwidth of the link
          <input
            value={bandwidth}
            placeholder="45Mb"
            onInput={(event) => setBandwidth(event.currentTarget.value)}
          />
        </label>
      </form>
      {seconds === undefined && <p role="alert">An interval is a number of seconds, or 2m, 1h, 1d.</p>}
      {recording !== null && recording.samples.length < 2 && (
        <p role="alert">{recording.name} holds fewer than two samples of /proc/diskstats.</p>
      )}
      {shown !== undefined && seconds !== undefined && shown.rates.length > 0 && (
        <section aria-labelledby="chart" class="card">
          <h2 id="chart">
            {shown.device}, {shown.rates.length} samples of {ageText(seconds * 1000)}
          </h2>
          <Verdict rates={shown} seconds={seconds} bandwidth={bandwidth} />
          <Chart
            rates={shown}
            seconds={seconds}
            startMs={Date.parse(recording?.samples[0]?.date ?? '')}
            limit={parseBandwidth(bandwidth)}
          />
          <Summary devices={devices} chosen={shown.device} choose={setDevice} />
        </section>
      )}
    </>
  );
}

interface Shown {
  readonly rates: DeviceRates;
  readonly seconds: number;
}

function Verdict({ rates, seconds, bandwidth }: Shown & { bandwidth: string }) {
  if (bandwidth.trim() === '') return null;
  const bytesPerSecond = parseBandwidth(bandwidth);
  if (bytesPerSecond === undefined) return <p role="alert">A bandwidth is 45Mb (bits), or 5MB (bytes).</p>;
  const { keepsUp, queueBytesMax, lagSecondsMax } = forecast(rates, seconds, bytesPerSecond);
  return (
    <p role="status">
      {keepsUp ? (
        <Badge tone="good">{bandwidth} keeps up with every sample</Badge>
      ) : (
        <>
          <Badge tone="warn">{bandwidth} does not keep up with the peaks</Badge> queue up to{' '}
          {bytesText(queueBytesMax)}, lag up to {ageText(lagSecondsMax * 1000)}
        </>
      )}
    </p>
  );
}

const heightPixels = 280;
const axisWidth = 90;

function Chart({ rates, seconds, startMs, limit }: Shown & { startMs: number; limit: number | undefined }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const style = getComputedStyle(element);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const hasTime = Number.isFinite(startMs);
    const times = rates.rates.map((_, step) => (hasTime ? startMs / 1000 : 0) + (step + 1) * seconds);
    const series: uPlot.Series[] = [
      {},
      { label: 'written per second', stroke: color('color'), fill: color('border-top-color'), width: 1.5 },
    ];
    const data: [number[], number[], ...number[][]] = [times, [...rates.rates]];
    if (limit !== undefined) {
      series.push({ label: 'bandwidth', stroke: color('outline-color'), width: 2, dash: [8, 6] });
      data.push(times.map(() => limit));
    }
    const axis = { stroke: color('caret-color'), grid: { stroke: color('border-top-color'), width: 1 } };
    const values = (_: uPlot, splits: number[]) => splits.map((rate) => `${bytesText(rate)}/s`);
    const chart = new uPlot(
      {
        width: element.clientWidth,
        height: heightPixels,
        scales: { x: { time: hasTime } },
        axes: [axis, { ...axis, size: axisWidth, values }],
        series,
        legend: { show: false },
      },
      data,
      element,
    );
    const resized = () => chart.setSize({ width: element.clientWidth, height: heightPixels });
    addEventListener('resize', resized);
    return () => {
      removeEventListener('resize', resized);
      chart.destroy();
    };
  }, [rates, seconds, startMs, limit]);
  return (
    <div
      ref={place}
      class="chart"
      role="img"
      aria-label={`bytes written per second by ${rates.device}: peak ${bytesText(rates.peak)}, average ${bytesText(rates.average)}`}
    />
  );
}

function Summary({
  devices,
  chosen,
  choose,
}: {
  devices: readonly DeviceRates[];
  chosen: string;
  choose: (device: string) => void;
}) {
  return (
    <div class="scroll">
      <table>
        <caption>Per device; choose one to see it</caption>
        <thead>
          <tr>
            <th scope="col">device</th>
            <th scope="col">peak</th>
            <th scope="col">average</th>
          </tr>
        </thead>
        <tbody>
          {devices.map(({ device, peak, average }) => (
            <tr key={device}>
              <th scope="row">
                <button
                  type="button"
                  class="link"
                  aria-pressed={device === chosen}
                  onClick={() => choose(device)}
                >
                  {device}
                </button>
              </th>
              <td>{bytesText(peak)}/s</td>
              <td>{bytesText(average)}/s</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

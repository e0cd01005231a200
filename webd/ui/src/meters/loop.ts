/**
 * One animation loop for all meters of the page, at 30 frames a second at most. It doesn't run while no meter is
 * shown, and the browser stops it while the page is hidden.
 */

type Draw = (now: number) => void;

/** A little under 1/30 s, so that a 60 Hz screen draws every second frame and not every third. */
const FRAME_MS = 30;

const drawers = new Set<Draw>();
let handle: number | undefined;
let drawnAt = -Infinity;

function turn(now: number): void {
  handle = requestAnimationFrame(turn);
  if (now - drawnAt < FRAME_MS) return;
  drawnAt = now;
  for (const draw of drawers) draw(now);
}

/** Calls `draw` on each frame until the returned function is called. */
export function onFrame(draw: Draw): () => void {
  drawers.add(draw);
  handle ??= requestAnimationFrame(turn);
  return () => {
    drawers.delete(draw);
    if (drawers.size === 0 && handle !== undefined) {
      cancelAnimationFrame(handle);
      handle = undefined;
    }
  };
}

/** Ties a canvas to the loop: sized for its screen, drawn only while it can be seen, in the colours of the theme. */

import { onBeforeUnmount, onMounted, watch, type Ref } from 'vue';

import { colourScheme } from '@/util/theme';

import { readPalette, type Palette } from './draw';
import { onFrame } from './loop';

/**
 * Calls `draw` on each frame while the canvas is on screen.
 *
 * @param draw gets a context scaled to CSS pixels and cleared, and the canvas's size in them.
 */
export function useMeterCanvas(
  canvas: Ref<HTMLCanvasElement | null>,
  draw: (
    context: CanvasRenderingContext2D,
    size: { width: number; height: number },
    palette: Palette,
    now: number,
  ) => void,
): void {
  let palette: Palette | undefined;
  let width = 0;
  let height = 0;
  let stopDrawing: (() => void) | undefined;
  const leave: (() => void)[] = [];

  watch(colourScheme, () => (palette = undefined));

  onMounted(() => {
    const element = canvas.value;
    const context = element?.getContext('2d');
    if (!element || !context) return;

    const frame = (now: number): void => {
      if (width === 0 || height === 0) return;
      const ratio = window.devicePixelRatio || 1;
      const pixelsX = Math.round(width * ratio);
      const pixelsY = Math.round(height * ratio);
      if (element.width !== pixelsX || element.height !== pixelsY) {
        element.width = pixelsX;
        element.height = pixelsY;
      }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      palette ??= readPalette();
      draw(context, { width, height }, palette, now);
    };

    const resized = new ResizeObserver(([entry]) => {
      if (!entry) return;
      width = entry.contentRect.width;
      height = entry.contentRect.height;
    });
    resized.observe(element);
    const seen = new IntersectionObserver((entries) => {
      const visible = entries.at(-1)?.isIntersecting ?? false;
      if (visible) stopDrawing ??= onFrame(frame);
      else {
        stopDrawing?.();
        stopDrawing = undefined;
      }
    });
    seen.observe(element);
    leave.push(
      () => resized.disconnect(),
      () => seen.disconnect(),
    );
  });

  onBeforeUnmount(() => {
    stopDrawing?.();
    for (const undo of leave) undo();
  });
}

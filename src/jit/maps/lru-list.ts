import type { MapArea } from './area.ts';

interface LruPlaces {
  readonly headAt: number;
  readonly tailAt: number;
  /** Where an element has its two links: towards the head, towards the tail. */
  readonly linksOf: (element: number) => number;
}

/** Elements in the order in which they were last looked at, the newest at the head; a list of numbers in the map's memory, 0 for none. */
export class LruList {
  readonly #places: LruPlaces;

  constructor(places: LruPlaces) {
    this.#places = places;
  }

  oldest(area: MapArea): number {
    return area.u32(this.#places.tailAt);
  }

  push(area: MapArea, element: number): void {
    const { headAt, tailAt, linksOf } = this.#places;
    const head = area.u32(headAt);
    area.setU32(linksOf(element), 0);
    area.setU32(linksOf(element) + 4, head);
    area.setU32(head === 0 ? tailAt : linksOf(head), element);
    area.setU32(headAt, element);
  }

  remove(area: MapArea, element: number): void {
    const { headAt, tailAt, linksOf } = this.#places;
    const newer = area.u32(linksOf(element));
    const older = area.u32(linksOf(element) + 4);
    area.setU32(newer === 0 ? headAt : linksOf(newer) + 4, older);
    area.setU32(older === 0 ? tailAt : linksOf(older), newer);
  }

  touch(area: MapArea, element: number): void {
    if (area.u32(this.#places.headAt) === element) return;
    this.remove(area, element);
    this.push(area, element);
  }
}

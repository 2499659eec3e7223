// What takes room on disks: asked for now and then, since no event tells of it.

import { useEffect, useState } from "preact/hooks";
import { call } from "../api";
import { harmless, size } from "../words";

export interface Room {
  spaces?: { name: string; bytes?: string }[];
  free?: string; // bytes of the file system
  size?: string;
  reserve?: string; // bytes that are kept free
  workers?: (Room & { name: string })[];
  keep_jobs?: string;
  keep_output?: string;
}

/** What `/v1/room` tells, asked anew every so many milliseconds; null until it has, or where one may not ask. */
export function useRoom(every: number): Room | null {
  const [room, setRoom] = useState<Room | null>(null);
  useEffect(() => {
    let timer = 0, isOpen = true;
    const load = async () => {
      const found = await call<Room>("GET", "/v1/room").catch(() => null);
      if (!isOpen) return;
      if (found) setRoom(found);
      timer = window.setTimeout(load, every);
    };
    void load();
    return () => {
      isOpen = false;
      clearTimeout(timer);
    };
  }, []);
  return room;
}

export const isKnown = (room: Room | undefined): room is Room => Number(room?.size ?? 0) > 0;

/** How much of a disk is free, as `61 GiB of 252 GiB`. */
export const free = (room: Room | undefined): string => (isKnown(room) ? `${size(Number(room.free))} of ${size(Number(room.size))}` : "–");

export function Spaces({ room }: { room: Room }) {
  return (
    <table>
      <thead><tr><th scope="col">What</th><th scope="col">Takes</th></tr></thead>
      <tbody>
        {(room.spaces ?? []).map((space) => <tr key={space.name}><td>{harmless(space.name)}</td><td class="number">{size(Number(space.bytes ?? 0))}</td></tr>)}
        {isKnown(room) && <tr><td>free, of all</td><td class="number">{free(room)}</td></tr>}
        {isKnown(room) && <tr><td>kept free</td><td class="number">{size(Number(room.reserve))}</td></tr>}
      </tbody>
    </table>
  );
}

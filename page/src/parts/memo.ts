// A component that is drawn anew only when one of its properties is another.

import type { ComponentChild } from "preact";
import { Component, createElement, type VNode } from "preact";

export function memo<P extends object>(draw: (props: P) => ComponentChild): (props: P & { key?: string | number }) => VNode {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const now = this.props as Record<string, unknown>;
      return Object.entries(next).some(([name, value]) => now[name] !== value);
    }

    render(props: P): ComponentChild {
      return draw(props);
    }
  }
  return (props) => createElement(Memo as any, props as any);
}

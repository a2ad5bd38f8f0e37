/** Keeps a scrolling box at its end while text arrives, but only for a reader who is there. */
const NEAR_PIXELS = 64;

export class Follower {
  isFollowing = $state(true);
  hasNewText = $state(false);
  #box: HTMLElement | null = null;
  #top = 0;

  /** `length`: how much text there is to follow; a page that only greets stays at its top. */
  constructor(readonly length: () => number) {
    let before = 0;
    $effect(() => {
      const now = length();
      if (now > before && !this.isFollowing) this.hasNewText = true;
      before = now;
    });
  }

  /** An attachment for the scrolling box; its first child is what grows. */
  attach = (box: HTMLElement): (() => void) => {
    this.#box = box;
    const onScroll = () => this.#scrolled(box);
    const observer = new ResizeObserver(() => this.#grown(box));
    observer.observe(box);
    if (box.firstElementChild) observer.observe(box.firstElementChild);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", onScroll);
    };
  };

  /** Goes to the end and stays there. */
  toEnd(): void {
    this.isFollowing = true;
    this.hasNewText = false;
    if (this.#box) this.#box.scrollTop = this.#box.scrollHeight;
  }

  #scrolled(box: HTMLElement): void {
    // Content that shrank has moved up by itself, and #grown has noted it; what is left is the reader's own move.
    const movedUp = box.scrollTop < this.#top - 1;
    const distance = box.scrollHeight - box.scrollTop - box.clientHeight;
    if (movedUp) this.isFollowing = false;
    else if (distance <= NEAR_PIXELS) {
      this.isFollowing = true;
      this.hasNewText = false;
    }
    this.#top = box.scrollTop;
  }

  #grown(box: HTMLElement): void {
    // Where nothing scrolls, all of it is in sight.
    if (box.scrollHeight <= box.clientHeight) this.toEnd();
    if (!this.length()) box.scrollTop = 0;
    else if (this.isFollowing) box.scrollTop = box.scrollHeight;
    this.#top = box.scrollTop;
  }
}

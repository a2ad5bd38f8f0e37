const growsByItself = CSS.supports("field-sizing", "content");

/** Lets a text field grow with its text, up to the height that its style allows, where CSS cannot do it. */
export function autosize(text: () => string) {
  return (area: HTMLTextAreaElement): void => {
    if (growsByItself) return;
    $effect(() => {
      text();
      area.style.height = "auto";
      area.style.height = `${area.scrollHeight}px`;
    });
  };
}

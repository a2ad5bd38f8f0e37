/** What to say where credits do not reach: of what too little is left, from when there is more, and who can help. */
import { moment } from "../format";
import { t } from "../i18n";
import type { ApiError, Project } from "./types";

export function isShortage(error: ApiError | null | undefined): boolean {
  return error?.code === "insufficient_quota";
}

export function whatRanOut({ budget }: ApiError, team: string): string {
  if (!budget) return t.creditsShort(team);
  const short = t.budgetShort(t.periods[budget.period], budget.scope === "project" ? t.thisProject : t.teamNamed(team));
  return budget.resets_at ? `${short} ${t.startsAnew(moment(budget.resets_at))}` : short;
}

/** Owners and admins set their projects' budgets; what a whole team has is the operator's. */
export function whoHelps(budget: ApiError["budget"], team: string, project: Project | undefined): string {
  const manages = project?.role === "owner" || project?.role === "admin";
  if (!budget) return manages ? t.quotaManager : t.quotaMember(team);
  if (budget.scope === "project") return manages ? t.raiseYourself : t.raiseByManager(team);
  return manages ? t.raiseByOperator : t.raiseByAsking(team);
}

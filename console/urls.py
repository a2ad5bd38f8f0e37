"""Where people sign in, and where they run their teams."""

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from console.views import (
    account,
    alerts,
    billing,
    budgets,
    grants,
    invitations,
    keys,
    ledger,
    overview,
    people,
    receipts,
    runs,
    sign_in,
)

app_name = "console"

team_urls = [
    path("", overview.show_overview, name="overview"),
    path("usage.csv", overview.export_usage, name="usage-csv"),
    path("runs", runs.show_runs, name="runs"),
    path("receipts/<str:request_id>", receipts.show_receipt, name="receipt"),
    path("billing", billing.show_billing, name="billing"),
    path("billing/budgets/add", budgets.add_budget, name="add-budget"),
    path("billing/budgets/<int:budget_id>", budgets.change_budget, name="budget"),
    path("billing/budgets/<int:budget_id>/remove", budgets.remove_budget, name="remove-budget"),
    path("billing/ledger", ledger.show_ledger, name="ledger"),
    path("billing/ledger.csv", ledger.export_csv, name="ledger-csv"),
    path("billing/ledger.jsonl", ledger.export_chain, name="ledger-chain"),
    path("billing/alerts", alerts.show_alerts, name="alerts"),
    path("billing/alerts/low-balance", alerts.set_low_balance, name="set-low-balance"),
    path("billing/alerts/addresses", alerts.set_addresses, name="set-addresses"),
    path("billing/alerts/own", alerts.set_own, name="set-own-alerts"),
    path("keys", keys.show_keys, name="keys"),
    path("keys/<str:key_id>/revoke", keys.revoke_key, name="revoke-key"),
    path("people", people.show_people, name="people"),
    path("people/invite", people.invite, name="invite"),
    path("people/invitations/<int:invitation_id>/withdraw", people.withdraw_invitation, name="withdraw-invitation"),
    path("people/<int:membership_id>/role", people.change_role, name="change-role"),
    path("people/<int:membership_id>/remove", people.remove_member, name="remove-member"),
    path("projects", people.create_project, name="create-project"),
]

urlpatterns = [
    path("login", sign_in.SignIn.as_view(), name="sign-in"),
    path("login/code", sign_in.SignInCode.as_view(), name="sign-in-code"),
    path("logout", LogoutView.as_view(next_page="/login"), name="sign-out"),
    path("console/", overview.show_home, name="home"),
    path("console/keys", overview.show_home, {"tab": "keys"}, name="home-keys"),
    path("console/password", account.ChangePassword.as_view(), name="password"),
    path("console/sessions", account.show_sessions, name="sessions"),
    path("console/sessions/end-others", account.end_other_sessions, name="end-other-sessions"),
    path("console/sessions/<int:session_id>/end", account.end_session, name="end-session"),
    path("console/second-factor", account.show_second_factor, name="second-factor"),
    path("console/second-factor/change", account.change_second_factor, name="change-second-factor"),
    path("invitation", invitations.show_invitation, name="invitation"),
    path("alert-address", alerts.show_address, name="alert-address"),
    path("console/teams/<str:team>/", include(team_urls)),
    # Before the admin's own addresses, so that it looks like one of them.
    path("admin/credits/post/", grants.post_credits, name="post-credits"),
]

"""Where the playground's pages and their data are."""

from django.urls import path

from playground.conversations import views as conversations
from playground.pages import views as pages
from playground.presets import views as presets

urlpatterns = [
    path("", pages.show_catalogue, name="catalogue"),
    path("models/<path:model_id>", pages.show_model, name="model"),
    path("docs/<slug:slug>", pages.show_document, name="document"),
    path("playground", pages.show_chat, name="playground"),
    path("playground/balance", conversations.Balance.as_view()),
    path("playground/notices", pages.show_notices),
    path("playground/images/<uuid:pk>", conversations.OneImage.as_view()),
    path("playground/parameters", conversations.CheckedParameters.as_view()),
    path("playground/code", conversations.UnsavedCode.as_view()),
    path("playground/presets", presets.Presets.as_view()),
    path("playground/presets/<uuid:pk>", presets.OnePreset.as_view()),
    path("playground/presets/<uuid:pk>/versions/<int:number>", presets.OnePresetVersion.as_view()),
    path("playground/conversations", conversations.Conversations.as_view()),
    path("playground/conversations/import", conversations.ImportedConversation.as_view()),
    path("playground/conversations/<uuid:pk>", conversations.OneConversation.as_view()),
    path("playground/conversations/<uuid:pk>/export", conversations.ExportedConversation.as_view()),
    path("playground/conversations/<uuid:pk>/clear", conversations.ClearedConversation.as_view()),
    path("playground/conversations/<uuid:pk>/restore", conversations.RestoredConversation.as_view()),
    path("playground/conversations/<uuid:pk>/columns", conversations.Columns.as_view()),
    path("playground/conversations/<uuid:pk>/images", conversations.Images.as_view()),
    path("playground/conversations/<uuid:pk>/messages", conversations.Messages.as_view()),
    path("playground/conversations/<uuid:pk>/branch", conversations.ShownBranch.as_view()),
    path("playground/conversations/<uuid:pk>/code", conversations.ConversationCode.as_view()),
    path("playground/conversations/<uuid:pk>/messages/<uuid:message>", conversations.OneMessage.as_view()),
    path(
        "playground/conversations/<uuid:pk>/messages/<uuid:message>/recovered", conversations.RecoveredMessage.as_view()
    ),
]

"""Where the playground's pages and their data are."""

from django.urls import path

from playground import json_views, views

urlpatterns = [
    path("", views.show_catalogue, name="catalogue"),
    path("models/<path:model_id>", views.show_model, name="model"),
    path("docs/<slug:slug>", views.show_document, name="document"),
    path("playground", views.show_chat, name="playground"),
    path("playground/balance", json_views.Balance.as_view()),
    path("playground/notices", views.show_notices),
    path("playground/code", json_views.UnsavedCode.as_view()),
    path("playground/conversations", json_views.Conversations.as_view()),
    path("playground/conversations/<uuid:pk>", json_views.OneConversation.as_view()),
    path("playground/conversations/<uuid:pk>/clear", json_views.ClearedConversation.as_view()),
    path("playground/conversations/<uuid:pk>/code", json_views.ConversationCode.as_view()),
    path("playground/conversations/<uuid:pk>/messages/<uuid:message>", json_views.OneMessage.as_view()),
]

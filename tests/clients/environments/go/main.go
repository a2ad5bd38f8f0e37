// The official package for Go: chats, streamed and whole, with a tool, and how it tells that a request is too long.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

func main() {
	model, ctx := os.Getenv("PARLEY_MODEL"), context.Background()
	client := openai.NewClient(option.WithBaseURL(os.Getenv("PARLEY_URL")), option.WithAPIKey(os.Getenv("PARLEY_KEY")))
	found := map[string]any{}
	ask := func(content string, tools ...openai.ChatCompletionToolUnionParam) openai.ChatCompletionNewParams {
		return openai.ChatCompletionNewParams{
			Model:    model,
			Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(content)},
			Tools:    tools,
		}
	}
	tool := openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name: "get_weather",
		Parameters: openai.FunctionParameters{
			"type":       "object",
			"properties": map[string]any{"city": map[string]string{"type": "string"}},
			"required":   []string{"city"},
		},
	})

	chat, err := client.Chat.Completions.New(ctx, ask("hello"))
	check(err)
	found["chat"] = chat.Choices[0].Message.Content

	stream := client.Chat.Completions.NewStreaming(ctx, ask("hello"))
	gathered := openai.ChatCompletionAccumulator{}
	for stream.Next() {
		gathered.AddChunk(stream.Current())
	}
	check(stream.Err())
	found["streamed"] = gathered.Choices[0].Message.Content

	params := ask("What does get_weather say?", tool)
	called, err := client.Chat.Completions.New(ctx, params)
	check(err)
	call := called.Choices[0].Message.ToolCalls[0]
	params.Messages = append(params.Messages, called.Choices[0].Message.ToParam(), openai.ToolMessage("rain", call.ID))
	answered, err := client.Chat.Completions.New(ctx, params)
	check(err)
	found["arguments"], found["answered"] = call.Function.Arguments, answered.Choices[0].Message.Content

	response, err := client.Responses.New(ctx, responses.ResponseNewParams{
		Model: model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello")},
	})
	check(err)
	found["response"] = response.OutputText()

	_, err = client.Chat.Completions.New(ctx, ask(strings.Repeat("word ", 12_000)))
	var refused *openai.Error
	if errors.As(err, &refused) {
		found["overflow"] = map[string]any{"status": refused.StatusCode, "code": refused.Code}
	}
	written, err := json.Marshal(found)
	check(err)
	fmt.Println("REPORT " + string(written))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

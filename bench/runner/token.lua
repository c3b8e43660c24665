--- A token for the guarded route of feeds.lua: HS256 with the secret named there, scope "subscribe", and
--- no end, so that the bench needs nothing that signs.

return {
  subscribe = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJiZW5jaCIsInNjb3BlIjoic3Vic2NyaWJlIn0"
    .. ".0rCZ0AWPtYqvpulLFli8j9kQnnwGEwPPZsofCT1E6bc",
}

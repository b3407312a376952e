"""The part of GitHub's GraphQL schema that the server answers: true names, arguments and types, fewer fields."""

SCHEMA = """
scalar BigInt
scalar DateTime
scalar GitObjectID
scalar GitRefname
scalar GitTimestamp
scalar URI

enum CheckConclusionState {
  ACTION_REQUIRED CANCELLED FAILURE NEUTRAL SKIPPED STALE STARTUP_FAILURE SUCCESS TIMED_OUT
}
enum CheckStatusState { COMPLETED IN_PROGRESS PENDING QUEUED REQUESTED WAITING }
enum CommentAuthorAssociation {
  COLLABORATOR CONTRIBUTOR FIRST_TIMER FIRST_TIME_CONTRIBUTOR MANNEQUIN MEMBER NONE OWNER
}
enum DeploymentOrderField { CREATED_AT }
enum DeploymentState {
  ABANDONED ACTIVE DESTROYED ERROR FAILURE INACTIVE IN_PROGRESS PENDING QUEUED SUCCESS WAITING
}
enum DeploymentStatusState { ERROR FAILURE INACTIVE IN_PROGRESS PENDING QUEUED SUCCESS WAITING }
enum MergeableState { CONFLICTING MERGEABLE UNKNOWN }
enum MergeStateStatus { BEHIND BLOCKED CLEAN DIRTY DRAFT HAS_HOOKS UNKNOWN UNSTABLE }
enum OrderDirection { ASC DESC }
enum PullRequestReviewDecision { APPROVED CHANGES_REQUESTED REVIEW_REQUIRED }
enum PullRequestReviewState { APPROVED CHANGES_REQUESTED COMMENTED DISMISSED PENDING }
enum PullRequestState { CLOSED MERGED OPEN }
enum ReportedContentClassifiers { ABUSE DUPLICATE OFF_TOPIC OUTDATED RESOLVED SPAM }
enum RepositoryPermission { ADMIN MAINTAIN READ TRIAGE WRITE }
enum StatusState { ERROR EXPECTED FAILURE PENDING SUCCESS }

input DeploymentOrder { direction: OrderDirection!, field: DeploymentOrderField! }
input MinimizeCommentInput { classifier: ReportedContentClassifiers!, clientMutationId: String, subjectId: ID! }
input RefUpdate { afterOid: GitObjectID!, beforeOid: GitObjectID, force: Boolean = false, name: GitRefname! }
input UnminimizeCommentInput { clientMutationId: String, subjectId: ID! }
input UpdateRefsInput { clientMutationId: String, refUpdates: [RefUpdate!]!, repositoryId: ID! }

interface Actor { login: String!, url: URI! }
interface GitObject { abbreviatedOid: String!, commitUrl: URI!, id: ID!, oid: GitObjectID!, repository: Repository! }
interface Minimizable { isMinimized: Boolean!, minimizedReason: String }
interface Node { id: ID! }

type Bot implements Actor & Node { databaseId: Int, id: ID!, login: String!, url: URI! }
type Organization implements Actor & Node { databaseId: Int, id: ID!, login: String!, url: URI! }
type User implements Actor & Node { databaseId: Int, id: ID!, login: String!, url: URI! }

type GitActor { date: GitTimestamp, email: String, name: String, user: User }
type PageInfo { endCursor: String, hasNextPage: Boolean!, hasPreviousPage: Boolean!, startCursor: String }
type RateLimit { cost: Int!, limit: Int!, nodeCount: Int!, remaining: Int!, resetAt: DateTime!, used: Int! }

type Blob implements GitObject & Node {
  abbreviatedOid: String!, byteSize: Int!, commitUrl: URI!, id: ID!, isBinary: Boolean, isTruncated: Boolean!
  oid: GitObjectID!, repository: Repository!, text: String
}
type Commit implements GitObject & Node {
  abbreviatedOid: String!, author: GitActor, authoredDate: DateTime!, commitUrl: URI!, committedDate: DateTime!
  committer: GitActor, id: ID!, message: String!, messageHeadline: String!, oid: GitObjectID!, pushedDate: DateTime
  repository: Repository!, statusCheckRollup: StatusCheckRollup, tree: Tree!, url: URI!
  parents(after: String, before: String, first: Int, last: Int): CommitConnection!
}
type CommitConnection { nodes: [Commit], pageInfo: PageInfo!, totalCount: Int! }
type Tag implements GitObject & Node {
  abbreviatedOid: String!, commitUrl: URI!, id: ID!, message: String, name: String!, oid: GitObjectID!
  repository: Repository!, tagger: GitActor, target: GitObject!
}
type Tree implements GitObject & Node {
  abbreviatedOid: String!, commitUrl: URI!, id: ID!, oid: GitObjectID!, repository: Repository!
}
type Ref implements Node { id: ID!, name: String!, prefix: String!, repository: Repository!, target: GitObject }
type RefConnection { nodes: [Ref], pageInfo: PageInfo!, totalCount: Int! }

type App implements Node { databaseId: Int, id: ID!, name: String!, slug: String! }
type CheckSuite implements Node { app: App, conclusion: CheckConclusionState, databaseId: Int, id: ID!, status: CheckStatusState! }
type CheckRun implements Node {
  checkSuite: CheckSuite!, completedAt: DateTime, conclusion: CheckConclusionState, databaseId: Int, detailsUrl: URI
  externalId: String, id: ID!, name: String!, startedAt: DateTime, status: CheckStatusState!, summary: String
  text: String, title: String, url: URI!
  isRequired(pullRequestId: ID, pullRequestNumber: Int): Boolean!
}
type StatusContext implements Node {
  context: String!, createdAt: DateTime!, creator: Actor, description: String, id: ID!, state: StatusState!, targetUrl: URI
  isRequired(pullRequestId: ID, pullRequestNumber: Int): Boolean!
}
union StatusCheckRollupContext = CheckRun | StatusContext
type StatusCheckRollup implements Node {
  commit: Commit, id: ID!, state: StatusState!
  contexts(after: String, before: String, first: Int, last: Int): StatusCheckRollupContextConnection!
}
type StatusCheckRollupContextConnection {
  checkRunCount: Int!, nodes: [StatusCheckRollupContext], pageInfo: PageInfo!, statusContextCount: Int!, totalCount: Int!
}

type Deployment implements Node {
  commit: Commit, commitOid: String!, createdAt: DateTime!, creator: Actor!, databaseId: Int, description: String
  environment: String, id: ID!, latestEnvironment: String, latestStatus: DeploymentStatus, originalEnvironment: String
  payload: String, ref: Ref, repository: Repository!, state: DeploymentState, task: String, updatedAt: DateTime!
  statuses(after: String, before: String, first: Int, last: Int): DeploymentStatusConnection
}
type DeploymentConnection { nodes: [Deployment], pageInfo: PageInfo!, totalCount: Int! }
type DeploymentStatus implements Node {
  createdAt: DateTime!, creator: Actor!, deployment: Deployment!, description: String, environment: String
  environmentUrl: URI, id: ID!, logUrl: URI, state: DeploymentStatusState!, updatedAt: DateTime!
}
type DeploymentStatusConnection { nodes: [DeploymentStatus], pageInfo: PageInfo!, totalCount: Int! }
type Environment implements Node { databaseId: Int, id: ID!, name: String! }

type IssueComment implements Minimizable & Node {
  author: Actor, authorAssociation: CommentAuthorAssociation!, body: String!, createdAt: DateTime!, databaseId: Int
  fullDatabaseId: BigInt, id: ID!, isMinimized: Boolean!, lastEditedAt: DateTime, minimizedReason: String
  pullRequest: PullRequest, repository: Repository!, updatedAt: DateTime!, url: URI!, viewerDidAuthor: Boolean!
}
type IssueCommentConnection { nodes: [IssueComment], pageInfo: PageInfo!, totalCount: Int! }
type Issue implements Node {
  author: Actor, body: String!, closed: Boolean!, createdAt: DateTime!, id: ID!, number: Int!, title: String!
  updatedAt: DateTime!, url: URI!
  comments(after: String, before: String, first: Int, last: Int): IssueCommentConnection!
}
union IssueOrPullRequest = Issue | PullRequest
type PullRequestReview implements Node {
  author: Actor, body: String!, commit: Commit, id: ID!, state: PullRequestReviewState!, submittedAt: DateTime, url: URI!
}
type PullRequestReviewConnection { nodes: [PullRequestReview], pageInfo: PageInfo!, totalCount: Int! }
type PullRequestCommit implements Node { commit: Commit!, id: ID!, url: URI! }
type PullRequestCommitConnection { nodes: [PullRequestCommit], pageInfo: PageInfo!, totalCount: Int! }
type PullRequest implements Node {
  additions: Int!, author: Actor, baseRefName: String!, baseRefOid: GitObjectID!, body: String!, changedFiles: Int!
  closed: Boolean!, createdAt: DateTime!, databaseId: Int, deletions: Int!, fullDatabaseId: BigInt, headRef: Ref
  headRefName: String!, headRefOid: GitObjectID!, headRepository: Repository, id: ID!, isCrossRepository: Boolean!
  isDraft: Boolean!, mergeCommit: Commit, mergeStateStatus: MergeStateStatus!, mergeable: MergeableState!
  merged: Boolean!, mergedAt: DateTime, number: Int!, reviewDecision: PullRequestReviewDecision
  state: PullRequestState!, statusCheckRollup: StatusCheckRollup, title: String!, updatedAt: DateTime!, url: URI!
  comments(after: String, before: String, first: Int, last: Int): IssueCommentConnection!
  commits(after: String, before: String, first: Int, last: Int): PullRequestCommitConnection!
  latestOpinionatedReviews(
    after: String, before: String, first: Int, last: Int, writersOnly: Boolean = false
  ): PullRequestReviewConnection
  reviews(after: String, before: String, first: Int, last: Int): PullRequestReviewConnection
}
type Repository implements Node {
  databaseId: Int, defaultBranchRef: Ref, id: ID!, isFork: Boolean!, isPrivate: Boolean!, name: String!
  nameWithOwner: String!, url: URI!, viewerPermission: RepositoryPermission
  deployments(
    after: String, before: String, environments: [String!], first: Int, last: Int
    orderBy: DeploymentOrder = {field: CREATED_AT, direction: ASC}
  ): DeploymentConnection!
  environment(name: String!): Environment
  issueOrPullRequest(number: Int!): IssueOrPullRequest
  object(expression: String, oid: GitObjectID): GitObject
  pullRequest(number: Int!): PullRequest
  ref(qualifiedName: String!): Ref
  refs(after: String, before: String, direction: OrderDirection, first: Int, last: Int, query: String, refPrefix: String!): RefConnection
}

type MinimizeCommentPayload { clientMutationId: String, minimizedComment: Minimizable }
type UnminimizeCommentPayload { clientMutationId: String, unminimizedComment: Minimizable }
type UpdateRefsPayload { clientMutationId: String }

type Query {
  node(id: ID!): Node
  rateLimit(dryRun: Boolean = false): RateLimit
  repository(followRenames: Boolean = true, name: String!, owner: String!): Repository
  viewer: User!
}
type Mutation {
  minimizeComment(input: MinimizeCommentInput!): MinimizeCommentPayload
  unminimizeComment(input: UnminimizeCommentInput!): UnminimizeCommentPayload
  updateRefs(input: UpdateRefsInput!): UpdateRefsPayload
}
"""  # noqa: E501  # a schema

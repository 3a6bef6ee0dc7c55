package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBucket: what the operator's script makes of a bucket holds, also against
// the operator where nobody is to lift a lock, and its locks are made longer.
func TestBucket(t *testing.T) {
	onlyInCI(t)
	t.Parallel()
	b := newBucket(t, "2m")
	strict := b.copied(`bucket: "backups"`, `bucket: "strict", lock: 20, lockMode: "compliance"`)
	out := filepath.Join(t.TempDir(), "out")
	mustGen(t, "-C", strict, "-o", out)
	if _, err := b.tryScript(out, "check"); err == nil {
		t.Error("a bucket that there is not passes its check")
	}
	b.script(out, "create")
	b.script(out, "create") // once more changes nothing

	for _, bucket := range []struct {
		name, out, mode string
		days            int
	}{{"backups", b.out, "GOVERNANCE", 30}, {"strict", out, "COMPLIANCE", 20}} {
		t.Run(bucket.mode, func(t *testing.T) {
			b := b.in(t)
			object := "op/" + bucket.name + "/production/shop/x"
			write(t, b.pings+".object", "x")
			b.mc("cp", b.pings+".object", object)
			mode, until := b.locked(object)
			if mode != bucket.mode {
				t.Errorf("what is written is locked as %q", mode)
			}
			if days := time.Until(until).Hours() / 24; days < float64(bucket.days)-1 || days > float64(bucket.days) {
				t.Errorf("what is written is locked for %.1f days", days)
			}
			// Extended, it ends later: by the seconds that have gone by.
			time.Sleep(2 * time.Second)
			b.script(bucket.out, "extend")
			if mode, later := b.locked(object); mode != bucket.mode || !later.After(until) {
				t.Errorf("extended from %v as %s, it is locked until %v as %s", until, bucket.mode, later, mode)
			}
			_, version := b.stat(object)
			said, err := b.tryMC("rm", "--version-id", version, "--bypass", object)
			if strict := bucket.mode == "COMPLIANCE"; strict != (err != nil) {
				t.Errorf("the operator lifts the lock: %v\n%s", err, said)
			}
			if said, err := b.tryMC("retention", "set", "--default", bucket.mode, "1d", "op/"+bucket.name); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			if said, err := b.tryScript(bucket.out, "check"); err == nil || !strings.Contains(said, "does not lock for") {
				t.Errorf("a bucket that locks for a day passes its check: %v\n%s", err, said)
			}
			b.script(bucket.out, "create")
			b.script(bucket.out, "check")
		})
	}
}

// stat is what the server says of an object, and its version.
func (b *bucket) stat(object string) (header map[string]string, version string) {
	b.Helper()
	var s struct {
		VersionID string
		Metadata  map[string]string
	}
	if err := json.Unmarshal([]byte(b.mc("stat", "--json", object)), &s); err != nil || s.VersionID == "" {
		b.Fatalf("%s: %v, %+v", object, err, s)
	}
	return s.Metadata, s.VersionID
}

// locked is how and until when an object is.
func (b *bucket) locked(object string) (mode string, until time.Time) {
	b.Helper()
	header, _ := b.stat(object)
	until, err := time.Parse(time.RFC3339, header["X-Amz-Object-Lock-Retain-Until-Date"])
	if err != nil {
		b.Fatalf("%s: %v, %v", object, err, header)
	}
	return header["X-Amz-Object-Lock-Mode"], until
}

// What Scaleway's bucket policies know, by its page "Bucket policies overview" of 2025-07-30.
var (
	scalewayBucketActions = []string{
		"s3:DeleteBucketWebsite", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLocation", "s3:GetBucketObjectLockConfiguration",
		"s3:GetBucketTagging", "s3:GetBucketVersioning", "s3:GetBucketWebsite", "s3:GetLifecycleConfiguration", "s3:ListBucket",
		"s3:ListBucketMultipartUploads", "s3:ListBucketVersions", "s3:PutBucketAcl", "s3:PutBucketCORS", "s3:PutBucketObjectLockConfiguration",
		"s3:PutBucketTagging", "s3:PutBucketVersioning", "s3:PutBucketWebsite", "s3:PutLifecycleConfiguration",
	}
	scalewayObjectActions = []string{
		"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectTagging", "s3:DeleteObjectVersion", "s3:DeleteObjectVersionTagging",
		"s3:GetObject", "s3:GetObjectAcl", "s3:GetObjectLegalHold", "s3:GetObjectRetention", "s3:GetObjectTagging", "s3:GetObjectVersion",
		"s3:GetObjectVersionTagging", "s3:ListMultipartUploadParts", "s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectLegalHold",
		"s3:PutObjectRetention", "s3:PutObjectTagging", "s3:PutObjectVersionTagging", "s3:RestoreObject",
	}
	scalewayPrincipal = regexp.MustCompile(`^(user_id|application_id):[0-9a-f-]{36}$`)
)

// TestScaleway: the policy is of the form that its documentation gives, with actions that it knows
// on what they are about, and lets a host's key do nothing that the host must not.
func TestScaleway(t *testing.T) {
	type statement struct {
		Sid, Effect      string
		Principal        struct{ SCW string }
		Action, Resource []string
		Condition        map[string]map[string][]string `json:",omitempty"`
	}
	var policy struct {
		Version, ID string
		Statement   []statement
	}
	out := filepath.Join(t.TempDir(), "out")
	mustGen(t, "-C", backups, "-o", out)
	d := json.NewDecoder(strings.NewReader(read(t, filepath.Join(out, "fleet/store/scaleway.json"))))
	d.DisallowUnknownFields()
	if err := d.Decode(&policy); err != nil {
		t.Fatal(err)
	}
	if policy.Version != "2023-04-17" || len(policy.ID) > 280 {
		t.Errorf("version %q, id %q", policy.Version, policy.ID)
	}
	may := map[string][]string{}
	for _, s := range policy.Statement {
		who, _, _ := strings.Cut(s.Sid, " ")
		if s.Effect != "Allow" || !scalewayPrincipal.MatchString(s.Principal.SCW) || len(s.Action) == 0 || len(s.Resource) == 0 {
			t.Errorf("%s: a statement that it does not know: %+v", s.Sid, s)
		}
		for _, r := range s.Resource {
			known := scalewayObjectActions
			if r == "backups" {
				known = scalewayBucketActions
			} else if !strings.HasPrefix(r, "backups/") || !strings.HasSuffix(r, "*") {
				t.Errorf("%s: it knows no resource %s", s.Sid, r)
			}
			for _, a := range s.Action {
				if a != "s3:*" && !slices.Contains(known, a) {
					t.Errorf("%s: it knows no %s on %s", s.Sid, a, r)
				}
			}
		}
		for condition, keys := range s.Condition {
			for key := range keys {
				if condition != "StringLike" || key != "s3:prefix" {
					t.Errorf("%s: an unexpected condition %s %s", s.Sid, condition, key)
				}
			}
		}
		if who != "operator" && slices.Contains(s.Action, "s3:ListBucket") != (s.Condition != nil) {
			t.Errorf("%s: it may list more than its own, or what does not list is limited", s.Sid)
		}
		may[who] = append(may[who], s.Action...)
	}
	for _, actions := range may {
		slices.Sort(actions)
	}
	if diff := cmp.Diff(map[string][]string{
		"operator":   {"s3:*", "s3:*"},
		"vps1":       {"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:ListMultipartUploadParts", "s3:PutObject"},
		"vps2-drill": {"s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions"},
	}, may); diff != "" {
		t.Errorf("they may do otherwise (+) than meant (-):\n%s", diff)
	}
}

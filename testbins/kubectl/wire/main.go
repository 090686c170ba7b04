// Prints what the API server's protobuf decoder and its tests are made of.
//
// In:  "messages" or "samples".
// Out: on stdout, one block for every message of the kinds below (the table that the decoder works
// from), or one line for every sample object: its envelope in base64 and the same object as JSON.
//
// All of it is read off Go's own types, so it says what Kubernetes' own encoders do:
//
//	cd testbins/kubectl && go run ./wire messages >../../crates/apiserver/src/wire/messages.txt
//	cd testbins/kubectl && go run ./wire samples >../../crates/apiserver/src/wire/samples.txt
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What a client may send: the kinds that the server serves, and the options and questions it takes.
var roots = []runtime.Object{
	&corev1.ConfigMap{}, &corev1.Endpoints{}, &corev1.Event{}, &corev1.LimitRange{},
	&corev1.Namespace{}, &corev1.Node{}, &corev1.PersistentVolume{},
	&corev1.PersistentVolumeClaim{}, &corev1.Pod{}, &corev1.ReplicationController{},
	&corev1.ResourceQuota{}, &corev1.Secret{}, &corev1.Service{}, &corev1.ServiceAccount{},
	&admissionregistrationv1.MutatingWebhookConfiguration{},
	&admissionregistrationv1.ValidatingWebhookConfiguration{},
	&appsv1.DaemonSet{}, &appsv1.Deployment{}, &appsv1.ReplicaSet{}, &appsv1.StatefulSet{},
	&authenticationv1.SelfSubjectReview{}, &authenticationv1.TokenRequest{},
	&authenticationv1.TokenReview{},
	&authorizationv1.SelfSubjectAccessReview{}, &authorizationv1.SelfSubjectRulesReview{},
	&authorizationv1.SubjectAccessReview{},
	&autoscalingv1.Scale{}, &autoscalingv2.HorizontalPodAutoscaler{},
	&batchv1.CronJob{}, &batchv1.Job{},
	&certificatesv1.CertificateSigningRequest{},
	&coordinationv1.Lease{},
	&discoveryv1.EndpointSlice{},
	&eventsv1.Event{},
	&metav1.DeleteOptions{},
	&networkingv1.Ingress{}, &networkingv1.IngressClass{}, &networkingv1.NetworkPolicy{},
	&policyv1.PodDisruptionBudget{},
	&rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}, &rbacv1.Role{}, &rbacv1.RoleBinding{},
	&schedulingv1.PriorityClass{},
	&storagev1.StorageClass{},
}

// Messages whose JSON is not that of their fields, with the word that the decoder knows them by.
var special = map[reflect.Type]string{
	reflect.TypeOf(metav1.Time{}):        "time",
	reflect.TypeOf(metav1.MicroTime{}):   "microtime",
	reflect.TypeOf(metav1.FieldsV1{}):    "raw",
	reflect.TypeOf(resource.Quantity{}):  "quantity",
	reflect.TypeOf(intstr.IntOrString{}): "intorstring",
}

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "messages":
		messages()
	case len(os.Args) == 2 && os.Args[1] == "samples":
		samples()
	default:
		log.Fatal("usage: wire messages|samples")
	}
}

// apiVersion of a package of types: k8s.io/api/apps/v1 is apps/v1.
func apiVersion(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	group, version := parts[len(parts)-2], parts[len(parts)-1]
	switch group {
	case "core":
		return version
	case "admissionregistration", "authentication", "authorization", "certificates", "coordination",
		"discovery", "events", "networking", "scheduling", "storage":
		return group + ".k8s.io/" + version
	case "rbac":
		return "rbac.authorization.k8s.io/" + version
	}
	return group + "/" + version
}

func name(t reflect.Type) string { return apiVersion(t) + "." + t.Name() }

func messages() {
	fmt.Println("# Kubernetes' protobuf messages, made by testbins/kubectl/wire. One block for each message: its")
	fmt.Println("# apiVersion and kind, then its fields in the order of their JSON as: number, name, type.")
	fmt.Println("# Types: a word or a message, [] before a list's, {} before a map's. Signs before them:")
	fmt.Println("#   *  left out when absent      ?  left out when empty      ~  null when absent")
	fmt.Println("# Without a sign it is always shown. The name - means that the fields stand in this message.")
	seen, blocks := map[string]bool{}, map[string]string{}
	for _, root := range roots {
		visit(reflect.TypeOf(root).Elem(), seen, blocks)
	}
	var names []string
	for one := range blocks {
		names = append(names, one)
	}
	sort.Strings(names)
	for _, one := range names {
		fmt.Printf("\n%s\n%s", one, blocks[one])
	}
}

func visit(t reflect.Type, seen map[string]bool, blocks map[string]string) {
	if seen[name(t)] {
		return
	}
	seen[name(t)] = true
	var block strings.Builder
	for i := range t.NumField() {
		field := t.Field(i)
		number, jsonName, omit, ok := tags(field)
		if !ok {
			continue
		}
		kind := field.Type
		sign := ""
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
			sign = "~"
			if omit {
				sign = "*"
			}
		} else if omit {
			sign = "?"
		} else if kind.Kind() == reflect.Slice || kind.Kind() == reflect.Map {
			sign = "~"
		}
		if jsonName == "" {
			jsonName = "-"
		}
		fmt.Fprintf(&block, "%s %s %s%s\n", number, jsonName, sign, word(kind, seen, blocks))
	}
	blocks[name(t)] = block.String()
}

// The number and JSON name of a field; the name is empty if its fields stand in the outer object.
func tags(field reflect.StructField) (number, jsonName string, omit, ok bool) {
	proto := field.Tag.Get("protobuf")
	if proto == "" || proto == "-" {
		if field.Name != "TypeMeta" {
			log.Fatalf("%v has no number", field)
		}
		return "", "", false, false
	}
	number = strings.Split(proto, ",")[1]
	parts := strings.Split(field.Tag.Get("json"), ",")
	for _, option := range parts[1:] {
		// Of structs, omitempty leaves nothing out.
		omit = omit || option == "omitempty" && field.Type.Kind() != reflect.Struct
		if option == "omitzero" {
			if field.Type != reflect.TypeOf(metav1.Time{}) {
				log.Fatalf("%v: the table cannot say omitzero", field)
			}
			omit = true
		}
	}
	if parts[0] == "" && !field.Anonymous {
		log.Fatalf("%v has no JSON name", field)
	}
	return number, parts[0], omit, true
}

func word(t reflect.Type, seen map[string]bool, blocks map[string]string) string {
	if known, ok := special[t]; ok {
		return known
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Bool:
		return "bool"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		if t.Name() != "" && t.PkgPath() != "" {
			if _, message := reflect.New(t).Interface().(interface{ Marshal() ([]byte, error) }); message {
				return "items"
			}
		}
		return "[]" + word(t.Elem(), seen, blocks)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			log.Fatalf("%v: keys must be strings", t)
		}
		return "{}" + word(t.Elem(), seen, blocks)
	case reflect.Struct:
		visit(t, seen, blocks)
		return name(t)
	}
	log.Fatalf("the table has no word for %v", t)
	return ""
}

type message interface {
	runtime.Object
	Unmarshal([]byte) error
	Marshal() ([]byte, error)
}

// Every root three times: empty, with every field set, and with every pointer to an empty value.
func samples() {
	for _, fill := range []*filler{nil, {}, {empty: true}} {
		for _, root := range roots {
			t := reflect.TypeOf(root).Elem()
			object := reflect.New(t)
			if fill != nil {
				fill.set(object.Elem())
			}
			print(object.Interface().(message))
		}
	}
}

func print(object message) {
	t := reflect.TypeOf(object).Elem()
	object.GetObjectKind().SetGroupVersionKind(schema.FromAPIVersionAndKind(apiVersion(t), t.Name()))
	var envelope bytes.Buffer
	if err := protobuf.NewSerializer(nil, nil).Encode(object, &envelope); err != nil {
		log.Fatal(err)
	}
	raw, err := object.Marshal()
	if err != nil {
		log.Fatal(err)
	}
	// What an API server has read is what it shows.
	read := reflect.New(t).Interface().(message)
	if err := read.Unmarshal(raw); err != nil {
		log.Fatal(err)
	}
	read.GetObjectKind().SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
	text, err := json.Marshal(read)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %s\n", base64.StdEncoding.EncodeToString(envelope.Bytes()), text)
}

// Sets fields, each message's own only where it is met first, which keeps samples short.
type filler struct {
	empty bool
	count int
	met   map[reflect.Type]bool
}

func (f *filler) set(v reflect.Value) {
	switch v.Interface().(type) {
	case metav1.TypeMeta:
		return
	case metav1.Time:
		v.Set(reflect.ValueOf(metav1.Unix(1700000000+int64(f.next()), 0).Rfc3339Copy()))
		return
	case metav1.MicroTime:
		v.Set(reflect.ValueOf(metav1.NewMicroTime(time.Unix(1700000000, int64(f.next())*1000).UTC())))
		return
	case metav1.FieldsV1:
		v.Addr().Interface().(*metav1.FieldsV1).SetRawBytes([]byte(`{"f:metadata":{}}`))
		return
	case resource.Quantity:
		v.Set(reflect.ValueOf(resource.MustParse(fmt.Sprintf("%dMi", f.next()))))
		return
	case intstr.IntOrString:
		if f.next()%2 == 0 {
			v.Set(reflect.ValueOf(intstr.FromInt32(int32(f.next()))))
		} else {
			v.Set(reflect.ValueOf(intstr.FromString("50%")))
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d-ü", f.next()))
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.next()) - 10)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if !f.empty || v.Type().Elem().Kind() == reflect.Struct {
			f.set(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte{0, 255, byte(f.next())})
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.set(v.Index(0))
		f.set(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.set(key)
			f.set(value)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		f.fields(v)
	default:
		log.Fatalf("cannot fill %v", v.Type())
	}
}

func (f *filler) fields(v reflect.Value) {
	if f.met == nil {
		f.met = map[reflect.Type]bool{}
	}
	if f.met[v.Type()] {
		return
	}
	f.met[v.Type()] = true
	for i := range v.NumField() {
		field := v.Field(i)
		if f.empty && field.Kind() != reflect.Pointer && field.Kind() != reflect.Struct && field.Kind() != reflect.Slice {
			continue
		}
		f.set(field)
	}
}

func (f *filler) next() int {
	f.count++
	return f.count
}
